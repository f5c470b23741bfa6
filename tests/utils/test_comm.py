import torch
import torch.distributed as dist

from pet.utils import comm


def test_without_a_process_group_there_is_one_process():
    assert not comm.is_distributed()
    assert (comm.get_rank(), comm.get_world_size()) == (0, 1)
    assert comm.is_main_process()
    comm.synchronize()
    values = torch.tensor([1.0, 2.0])
    assert torch.equal(comm.reduce_mean(values), values)
    assert torch.equal(comm.from_main(values), values)
    assert comm.gather_texts("alone", values.device) == ["alone"]


def _report(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    values = torch.tensor([1.0, 10.0]) * (rank + 1)
    mean = comm.reduce_mean(values)
    comm.synchronize()
    texts = comm.gather_texts(("", "é" * 1500)[rank], values.device)
    report = {
        "from_main": comm.from_main(values),
        "texts": texts,
        "rank": comm.get_rank(),
        "world_size": comm.get_world_size(),
        "main": comm.is_main_process(),
        "mean": mean,
        "values": values,
    }
    torch.save(report, f"{folder}/{rank}.pth")
    dist.destroy_process_group()


def test_two_processes_know_each_other(tmp_path):
    torch.multiprocessing.spawn(_report, (str(tmp_path),), nprocs=2)
    for rank in range(2):
        report = torch.load(tmp_path / f"{rank}.pth", weights_only=True)
        assert (report["rank"], report["world_size"]) == (rank, 2)
        assert report["main"] is (rank == 0)
        assert report["mean"].tolist() == [1.5, 15.0]
        assert report["from_main"].tolist() == [1.0, 10.0]
        assert report["texts"] == ["", "é" * 1000]
        assert report["values"].tolist() == [1.0 + rank, 10.0 + 10 * rank]  # left as they were
