// This module holds the benchmark tool. It is a module of its own so that what it needs for reports stays out of hnsproxy.
module github.com/hnsproxy/hnsproxy/benchmarks/cmd

go 1.26.8

replace (
	github.com/hnsproxy/hnsproxy => ../../
	github.com/hnsproxy/hnsproxy/e2e => ../../e2e
)

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0
	github.com/google/go-cmp v0.7.0
)

require (
	github.com/davecgh/go-spew v1.1.2-0.20180830191138-d8f796af33cc // indirect
	github.com/pmezard/go-difflib v1.0.1-0.20181226105442-5d4384ee4fb2 // indirect
)
