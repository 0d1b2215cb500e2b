# Winnow: shrink vision networks and show what shrinking costs.
from snakemake.utils import min_version

min_version("9.27")


# A configuration given on the command line replaces the default study; Snakemake would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"


# the first page of `snakemake --report`, made by make_overview from what came out
report: Path(START_PAGE).absolute()


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/prune.smk"
include: "workflow/rules/quantize.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


onstart:
    check_cluster()
    allow_all(Path(LOGS))


onerror:
    report_failures()


rule all:
    default_target: True
    input:
        rules.collect.output,
        rules.make_quantization_table.output,
        rules.make_sensitivity_table.output if STUDY.probed else [],
        rules.make_multiplier_table.output if ASSIGNED else [],
        rules.make_pruning_sensitivity_table.output if ALLOTTED else [],
        rules.make_pruning_table.output if STUDY.strategies else [],
        rules.make_figures.output,
        rules.recommend.output,
        rules.ship.output,
        rules.make_overview.output,


rule check:
    input:
        rules.make_check_table.output,


rule quantization:
    input:
        rules.make_quantization_table.output,


rule pruning:
    input:
        rules.make_pruning_table.output,
