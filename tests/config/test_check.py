import pytest

from pet.config import freeze, merge_cfg_from_list

RETINANET = ["MODEL.RETINANET_ON", "True", "FPN.BODY", "fpn_p6p7"]


def test_the_defaults_freeze(fresh_cfg):
    freeze(fresh_cfg)
    with pytest.raises(AttributeError):
        fresh_cfg.SOLVER.BASE_LR = 1.0
    with pytest.raises(AttributeError):
        fresh_cfg.SEED = 1


def test_a_frozen_config_takes_no_merge(fresh_cfg):
    freeze(fresh_cfg)
    with pytest.raises(ValueError, match="frozen, so the command line comes too late"):
        merge_cfg_from_list(["SEED", "5"], fresh_cfg)
    assert fresh_cfg.SEED == 0


def test_a_config_without_pyramid_freezes(fresh_cfg):
    fresh_cfg.FPN.FPN_ON = False
    fresh_cfg.RPN.ANCHOR_STRIDE = (32,)
    freeze(fresh_cfg)


def test_a_config_with_all_augmentations_freezes(fresh_cfg):
    fresh_cfg.MODEL.MASK_ON = fresh_cfg.MODEL.KEYPOINT_ON = True
    for name in ("BBOX_AUG", "MASK_AUG", "KPS_AUG"):
        fresh_cfg.TEST[name].ENABLED = True
        fresh_cfg.TEST[name].SCALES = ()
    freeze(fresh_cfg)


def test_a_contradiction_leaves_the_config_changeable(fresh_cfg):
    fresh_cfg.DISPLAY_ITER = 0
    with pytest.raises(ValueError, match="DISPLAY_ITER"):
        freeze(fresh_cfg)
    fresh_cfg.DISPLAY_ITER = 20


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["INPUT.CHANNEL_ORDER", "GRB"], "INPUT.CHANNEL_ORDER must be one of RGB, BGR; got 'GRB'"),
        (["MODEL.BATCH_NORM", "sync"], "MODEL.BATCH_NORM must be one of freeze, bn"),
        (["SOLVER.OPTIMIZER", "sgd"], "SOLVER.OPTIMIZER must be one of SGD, ADAMW"),
        (["SOLVER.LR_POLICY", "step"], "SOLVER.LR_POLICY must be one of STEP, COSINE, POLY"),
        (["SOLVER.WARM_UP_METHOD", "EXP"], "SOLVER.WARM_UP_METHOD must be one of LINEAR, CONSTANT"),
        (["DATALOADER.SAMPLER_TRAIN", "x"], "DATALOADER.SAMPLER_TRAIN must be one of Distributed"),
        (["FAST_RCNN.ROI_XFORM_METHOD", "x"], "FAST_RCNN.ROI_XFORM_METHOD must be .* ROIPool"),
        (["MRCNN.ROI_XFORM_METHOD", "x"], "MRCNN.ROI_XFORM_METHOD must be one of ROIAlign"),
        (["DATASETS.mine.MAX_IMAGES", "-5"], "DATASETS.mine.MAX_IMAGES must be at least 0; got -5"),
        (["SOLVER.WEIGHT_DECAY", "-0.1"], "SOLVER.WEIGHT_DECAY must be at least 0; got -0.1"),
        (["SOLVER.MOMENTUM", "9"], r"SOLVER.MOMENTUM must lie in \[0, 1\]; got 9"),
        (["TRAIN.BATCH_SIZE", "0"], "TRAIN.BATCH_SIZE must be at least 1; got 0"),
        (["SEED", "-1"], "SEED must be at least 0; got -1"),
        (["RPN.NMS_THRESH", "1.5"], r"RPN.NMS_THRESH must lie in \[0, 1\]; got 1.5"),
        (["TRAIN.FLIP_PROB", "-0.5"], "TRAIN.FLIP_PROB must lie in"),
        (["BACKBONE.FREEZE_AT", "6"], r"BACKBONE.FREEZE_AT must lie in 0\.\.5.* got 6"),
        (["MODEL.NUM_CLASSES", "1"], "MODEL.NUM_CLASSES counts the background.* got 1"),
        (["INPUT.ORIENTATION", "up"], "INPUT.ORIENTATION must be one of auto, upright, stored"),
        (["INPUT.MAX_PIXELS", "-1"], "INPUT.MAX_PIXELS must be at least 0; got -1"),
        (["INPUT.BIT_DEPTH", "7"], r"INPUT.BIT_DEPTH must lie in 8\.\.16.* got 7"),
        (["INPUT.BIT_DEPTH", "17"], r"INPUT.BIT_DEPTH must lie in 8\.\.16.* got 17"),
        (["INPUT.PIXEL_MEAN", "(1, 2)"], "INPUT.PIXEL_MEAN and INPUT.PIXEL_STD need three"),
        (["INPUT.PIXEL_STD", "(1, 0, 1)"], "INPUT.PIXEL_STD must be positive"),
        (["TRAIN.SCALES", "()"], "TRAIN.SCALES needs one or more"),
        (["TRAIN.SCALES", "(800, 0)"], "TRAIN.SCALES needs one or more positive sizes"),
        (["SOLVER.BASE_LR", "0"], "SOLVER.BASE_LR must be positive"),
        (["SOLVER.STEPS", "(80, 60)"], r"SOLVER.STEPS must rise; got \(80.0, 60.0\)"),
        (
            ["SOLVER.MAX_ITER", "7", "SOLVER.STEPS", "(3, 7)"],
            "SOLVER.STEPS .* reaches past SOLVER.MAX_ITER 7",
        ),
        (["SOLVER.WARM_UP_FACTOR", "0"], r"SOLVER.WARM_UP_FACTOR must lie in \(0, 1\]"),
        (["FPN.FPN_ON", "False"], r"levels of stride \(32,\), but RPN.ANCHOR_STRIDE is"),
        (["RPN.ANCHOR_STRIDE", "(32,)"], r"stride \(4, 8, 16, 32, 64\), but RPN.ANCHOR_STRIDE"),
        (
            ["FPN.FPN_ON", "False", "BACKBONE.OUT_STAGE", "4", "RPN.ANCHOR_STRIDE", "(32,)"],
            r"OUT_STAGE 4 .* levels of stride \(16,\), but RPN.ANCHOR_STRIDE is \(32,\)",
        ),
        (
            ["FPN.FPN_ON", "False", "BACKBONE.RES5_DILATION", "2"],
            r"RES5_DILATION 2, which gives levels of stride \(16,\)",
        ),
        (["BACKBONE.OUT_STAGE", "3"], "BACKBONE.OUT_STAGE must be 4 or 5; got 3"),
        (["BACKBONE.RES5_DILATION", "4"], "BACKBONE.RES5_DILATION must be 1 or 2; got 4"),
        (["BACKBONE.DCN_VERSION", "0"], "BACKBONE.DCN_VERSION must be 1 or 2; got 0"),
        (["BACKBONE.STAGE_WITH_DCN", "(True,)"], "BACKBONE.STAGE_WITH_DCN needs True or False for"),
        (["BACKBONE.OUT_STAGE", "4"], "FPN.FPN_ON, BACKBONE.OUT_STAGE must be 5 .* got 4 and 1"),
        (["BACKBONE.RES5_DILATION", "2"], "BACKBONE.RES5_DILATION 1; got 5 and 2"),
        (
            ["BACKBONE.OUT_STAGE", "4", "BACKBONE.RES5_DILATION", "2"],
            "BACKBONE.RES5_DILATION 2 is for a trunk with res5",
        ),
        (
            ["BACKBONE.OUT_STAGE", "4", "BACKBONE.FREEZE_AT", "5"],
            r"BACKBONE.FREEZE_AT must lie in 0\.\.4 \(BACKBONE.OUT_STAGE\).* got 5",
        ),
        (
            ["FAST_RCNN.ROI_BOX_HEAD", "roi_res5_head"],
            "roi_res5_head.* give BACKBONE.OUT_STAGE 4; got 5",
        ),
        (
            [
                *("FPN.FPN_ON", "False", "BACKBONE.OUT_STAGE", "4", "RPN.ANCHOR_STRIDE", "(16,)"),
                *("FAST_RCNN.ROI_BOX_HEAD", "roi_res5_head", "MODEL.CASCADE_ON", "True"),
            ],
            "roi_res5_head.* a cascade has a head for each stage",
        ),
        (
            ["MODEL.MASK_ON", "True", "MRCNN.SHARE_RES5", "True"],
            "MRCNN.SHARE_RES5 needs res5 as the box head: .*roi_res5_head.* got 'roi_2mlp_head'",
        ),
        (
            [
                *("FPN.FPN_ON", "False", "BACKBONE.OUT_STAGE", "4", "RPN.ANCHOR_STRIDE", "(16,)"),
                *("FAST_RCNN.ROI_BOX_HEAD", "roi_res5_head", "MODEL.MASK_ON", "True"),
                *("MRCNN.SHARE_RES5", "True"),
            ],
            r"MRCNN.RESOLUTION \(28, 28\) must be twice what res5 makes of .* give \(8, 8\)",
        ),
        (["MODEL.BATCH_NORM", "none"], "MODEL.BATCH_NORM must be one of freeze, bn, syncbn, gn"),
        (["FPN.NORM", "ln"], "FPN.NORM must be one of none, freeze, bn, syncbn, gn; got 'ln'"),
        (
            ["FAST_RCNN.NORM", "gn"],
            "FAST_RCNN.NORM gn is .* roi_2mlp_head has none .*xconv1fc_head",
        ),
        (["RPN.ANCHOR_SIZES", "(32, 64)"], "RPN.ANCHOR_SIZES .* one size for each of the 5"),
        (["RPN.ASPECT_RATIOS", "()"], "RPN.ASPECT_RATIOS must be positive"),
        (["RPN.ANCHOR_SIZES", "(0, 1, 2, 3, 4)"], "RPN.ANCHOR_SIZES and .* must be positive"),
        (["INPUT.SIZE_DIVISIBILITY", "16"], "INPUT.SIZE_DIVISIBILITY must be a multiple of 32"),
        (["RPN.BG_IOU_THRESHOLD", "0.8"], "RPN.BG_IOU_THRESHOLD 0.8 lies above RPN.FG_IOU"),
        (["FAST_RCNN.BG_IOU_THRESHOLD", "0.6"], "FAST_RCNN.BG_IOU_THRESHOLD 0.6 lies above"),
        (["FAST_RCNN.BBOX_REG_WEIGHTS", "(1, 1)"], "FAST_RCNN.BBOX_REG_WEIGHTS needs four"),
        (["FAST_RCNN.ROI_XFORM_RESOLUTION", "7"], "FAST_RCNN.ROI_XFORM_RESOLUTION needs a height"),
        (["MRCNN.RESOLUTION", "(0, 28)"], "MRCNN.RESOLUTION needs a height and a width"),
        (["MODEL.RETINANET_ON", "True"], "give FPN.FPN_ON True and FPN.BODY fpn_p6p7"),
        (["FPN.BODY", "fpn_p6p7"], "FPN.BODY fpn_p6p7 is for MODEL.RETINANET_ON"),
        (
            [*RETINANET, "MODEL.MASK_ON", "True"],
            "MODEL.RETINANET_ON is .* so that MODEL.MASK_ON must be False",
        ),
        ([*RETINANET, "RETINANET.ANCHOR_SIZES", "()"], "RETINANET.ANCHOR_SIZES needs positive"),
        ([*RETINANET, "RETINANET.ANCHOR_SIZES", "(32, 64)"], r"of the 5 levels.* got \(32, 64\)"),
        ([*RETINANET, "RETINANET.ASPECT_RATIOS", "(0, 1)"], "RETINANET.ASPECT_RATIOS needs pos"),
        ([*RETINANET, "RETINANET.PRIOR_PROB", "1"], r"PRIOR_PROB must lie in \(0, 1\); got 1"),
        ([*RETINANET, "RETINANET.BG_IOU_THRESHOLD", "0.6"], "RETINANET.BG_IOU.* lies above RETINA"),
        ([*RETINANET, "RETINANET.NORM", "bn"], "RETINANET.NORM must be one of none, gn; got 'bn'"),
        ([*RETINANET, "RETINANET.BOX_LOSS", "l1"], "RETINANET.BOX_LOSS must be one of smooth_l1"),
        ([*RETINANET, "RETINANET.LOSS_NORMALIZER", "x"], "LOSS_NORMALIZER must be one of batch, "),
        ([*RETINANET, "FPN.P6_FROM", "res4"], "FPN.P6_FROM must be one of res5, P5"),
        (
            ["MODEL.MASK_ON", "True", "MRCNN.RESOLUTION", "(56, 56)"],
            r"MRCNN.RESOLUTION \(56, 56\) must be twice .*; give \(28, 28\)",
        ),
        (
            ["MODEL.RPN_ONLY", "True", "MODEL.MASK_ON", "True", "MODEL.CASCADE_ON", "True"],
            "MODEL.RPN_ONLY is .* so that MODEL.MASK_ON and MODEL.CASCADE_ON must be False",
        ),
        (["CASCADE_RCNN.FG_IOU_THRESHOLD", "()"], "FG_IOU_THRESHOLD needs a number in .*; got"),
        (["CASCADE_RCNN.FG_IOU_THRESHOLD", "(0.5, 6)"], r"FG_IOU_THRESHOLD needs .* \(0.5, 6"),
        (
            ["CASCADE_RCNN.FG_IOU_THRESHOLD", "(0.5, 0.6)"],
            "CASCADE_RCNN.BBOX_REG_WEIGHTS .* an entry for each of the 2 stages",
        ),
        (["CASCADE_RCNN.STAGE_WEIGHTS", "(1, 1)"], "STAGE_WEIGHTS .* for each of the 3 stages"),
        (["CASCADE_RCNN.STAGE_WEIGHTS", "(1, 1, -1)"], "STAGE_WEIGHTS must be at least 0"),
        (
            ["CASCADE_RCNN.BBOX_REG_WEIGHTS", "((1, 1, 1, 1), (1, 1), (1, 1, 1, 1))"],
            "CASCADE_RCNN.BBOX_REG_WEIGHTS needs four positive numbers for each stage",
        ),
        (["KRCNN.NUM_KEYPOINTS", "0"], "KRCNN.NUM_KEYPOINTS must be -1 or at least 1; got 0"),
        (["KRCNN.SIGMAS", "()"], r"KRCNN.SIGMAS must be positive; got \(\)"),
        (["KRCNN.SIGMAS", "(0.1, 0)"], r"KRCNN.SIGMAS must be positive; got \(0.1, 0.0\)"),
        (["KRCNN.PIXEL_SHIFT", "2"], r"KRCNN.PIXEL_SHIFT must lie in \[0, 1\]; got 2"),
        (["KRCNN.ROI_XFORM_RESOLUTION", "14"], "KRCNN.ROI_XFORM_RESOLUTION needs a height"),
        (["KRCNN.LOSS_NORMALIZER", "all"], "KRCNN.LOSS_NORMALIZER must be one of visible, batch_s"),
        (["KRCNN.SCORE_METHOD", "logit"], "KRCNN.SCORE_METHOD must be one of probability, one"),
        (["KRCNN.NORM", "ln"], "KRCNN.NORM must be one of none, freeze, bn"),
        (
            ["MODEL.RPN_ONLY", "True", "TEST.BBOX_AUG.ENABLED", "True"],
            "TEST.BBOX_AUG.ENABLED is for detections, of which there are none with MODEL.RPN_ONLY",
        ),
        (
            ["MODEL.RPN_ONLY", "True", "TEST.SOFT_NMS.ENABLED", "True"],
            "TEST.SOFT_NMS.ENABLED is for detections, of which there are none with MODEL.RPN_ONLY",
        ),
        (
            ["TEST.MASK_AUG.ENABLED", "True"],
            "TEST.MASK_AUG.ENABLED is for a branch that the model lacks; give MODEL.MASK_ON True",
        ),
        (
            ["MODEL.MASK_ON", "True", "TEST.KPS_AUG.ENABLED", "True"],
            "TEST.KPS_AUG.ENABLED is for .* give MODEL.KEYPOINT_ON True, or TEST.KPS_AUG.ENABLED",
        ),
        (["TEST.BBOX_AUG.SCALES", "(400, 0)"], r"TEST.BBOX_AUG.SCALES must be .* got \(400, 0\)"),
        (["TEST.MASK_AUG.SCALES", "-1"], r"TEST.MASK_AUG.SCALES must be positive; got \(-1,\)"),
        (["TEST.SOFT_NMS.METHOD", "hard"], "TEST.SOFT_NMS.METHOD must be one of linear, gaussian"),
        (["TEST.SOFT_NMS.SIGMA", "0"], "TEST.SOFT_NMS.SIGMA must be positive; got 0"),
        (["TEST.SOFT_NMS.SCORE_THRESH", "2"], r"TEST.SOFT_NMS.SCORE_THRESH must lie in \[0, 1\]"),
    ],
)
def test_a_contradiction_names_its_keys(fresh_cfg, pairs, message):
    merge_cfg_from_list(pairs, fresh_cfg)
    with pytest.raises(ValueError, match=message):
        freeze(fresh_cfg)


@pytest.mark.parametrize(
    "pairs",
    [
        ["SOLVER.STEPS", "()"],
        ["SOLVER.LR_POLICY", "COSINE", "SOLVER.MAX_ITER", "100"],  # the steps are not used
        ["SOLVER.WARM_UP_ITERS", "0", "SOLVER.WARM_UP_FACTOR", "0"],  # nor is the factor
        ["MRCNN.RESOLUTION", "(56, 56)"],  # nor is the mask branch
        ["INPUT.SIZE_DIVISIBILITY", "64"],
        ["INPUT.MAX_PIXELS", "0"],  # no limit
    ],
)
def test_what_is_unused_contradicts_nothing(fresh_cfg, pairs):
    merge_cfg_from_list(pairs, fresh_cfg)
    freeze(fresh_cfg)
