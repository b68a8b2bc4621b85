"""What `make bench` runs: every figure beside a floor and beside what a user would pick instead, in one run."""
