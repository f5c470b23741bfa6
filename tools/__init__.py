"""Pet's command-line tools and benchmarks."""
