"""Ascend tools around an exported model: ATC's command line, binary files for msame and ais_bench, offline inference."""
