# What the rules share: the resolved study, paths, digests and resources. The only .smk with functions.
import dataclasses
import difflib
import logging
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

sys.path.insert(0, str(Path(workflow.basedir) / "workflow" / "scripts"))

from winnow.config import catalog
from winnow.config.check_request import check_request
from winnow.config.extras import extras
from winnow.config.read import read
from winnow.config.resolve import check_prepared
from winnow.config.runnable import runnable
from winnow.config.settings import DistillSettings, TrainingSettings
from winnow.data.identity import images_digest
from winnow.errors import WinnowError
from winnow.figures.catalog import figure_names, figures_of
from winnow.files import content_digest
from winnow.study.grid import allotted, uses_training
from winnow.study.artifacts import networks
from winnow.study.recipe_axes import AUTO
from winnow.study.multipliers import EXACT, FAMILIES, TABLE
from winnow.study.multipliers import family_of as family_of_multiplier
from winnow.study.recipes import left_to_winnow, precisions, simulated, unspared
from winnow.study.vocabulary import FP32, IMPORTED, INITIAL, PRECISIONS, PTQ
from winnow.study.vocabulary import RUNTIMES, SCORED, STRUCTURES, criterion
from winnow.planning.failures import Failures, give_up_what_is_refused
from winnow.planning.snakemake_speedups import speed_up
from winnow.planning.provenance import source_digest, user_digest
from winnow.refusal import allow_all
from winnow.report.sources import INTERACTIVE, PAGE, source_paths
from winnow.cluster.limits import check_requests, configured_partitions, partitions
from winnow.cluster.orphans import check_orphans

speed_up(workflow.sourcecache)

# Snakemake writes the path of its interpreter into commands without quotes; one with a space in it would break them
if Path(sys.executable).exists():
    sys.executable = shlex.quote(sys.executable)


def study_of(configuration):
    """Check the configuration; a mistake is one line on the terminal, before any job starts."""
    try:
        for path in workflow.configfiles:  # Snakemake takes the last of keys that are given twice, and more
            read(path)
        study = runnable(configuration)
        check_prepared(study, Path(DATA))
    except WinnowError as error:
        raise WorkflowError(str(error))
    return study


DATA = "results/data"
STUDY = study_of(config)
RESULTS = f"results/{STUDY.study}"
LOGS = f"{RESULTS}/logs"
FIGURES = f"{RESULTS}/figures"
START_PAGE = f"{RESULTS}/start_page.rst"
REPORTED = STUDY.reported()
# of the user's own modules: a change trains again what they build, and nothing else
FACTORIES = {
    name: user_digest(model["factory"]) if model["factory"] else "" for name, model in STUDY.models.items()
}
content_of = cache(content_digest)
ALL_NETWORKS = list(networks(REPORTED))
# a file by the plain recipe of a method can be made whether the study asks for it or not
RECIPES = STUDY.plain_recipes | STUDY.probed | STUDY.recipes
SIMULATED = simulated(STUDY.recipes)
ALLOTTED = allotted(STUDY.strategies)
ASSIGNED = left_to_winnow(STUDY.recipes)
NETWORKS = [[dataset, model] for dataset in STUDY.datasets for model in STUDY.models]
CHECKS = [f"{RESULTS}/{dataset}/{model}/check.json" for dataset, model in NETWORKS]
RUN = f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/{{run}}"
DENSE = f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/dense"
PRUNED = f"{RESULTS}/{{dataset}}/{{model}}/seed{{seed}}/{{pruning}}/round{{round}}"
IMPORTS = f"{RESULTS}/{{dataset}}/{{model}}"
# of networks that begin with fresh weights; all of these have the same, the others none
REWIND_EPOCHS = max((training["rewind_epochs"] for training in STUDY.training.values()), key=len)
GPUS = int(any(training["device"] == "cuda" for training in STUDY.training.values()))
# On one machine all cores, so that no job runs beside a benchmark. On a cluster, which has a number of jobs instead, the
# profile asks for a whole node, and a job on it for no more threads than the scheduler was told.
ON_CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None
CORES = None if ON_CLUSTER else workflow.resource_settings.cores
ALL_CORES = CORES or max(STUDY.benchmark["threads"])
MOST_THREADS = 4  # of a training run

LOG, FAILURES = logging.getLogger("snakemake.logging"), Failures(Path(LOGS))
if workflow.is_main_process:
    LOG.addFilter(FAILURES)
    give_up_what_is_refused()
    if ExecutorPluginRegistry().is_installed("slurm"):
        from winnow.cluster.executor import install

        UNTRIED = install(STUDY.study)


wildcard_constraints:
    dataset="|".join(map(re.escape, STUDY.datasets)),
    model="|".join(map(re.escape, STUDY.models)),
    seed=r"0|[1-9]\d*",
    pruning=r"[a-z0-9][a-z0-9.+-]*",
    round=r"[1-9]\d*",
    run=r"dense|[a-z0-9][a-z0-9.+-]*/round[1-9]\d*",
    recipe=r"[a-z0-9][a-z0-9.-]*",


# where snakemake runs, also with a cluster: jobs of seconds, and downloads, for compute nodes often have no network
localrules:
    prepare_dataset,
    import_network,
    import_initial,
    all,
    check,
    make_check_table,
    quantization,
    pruning,
    collect,
    make_quantization_table,
    make_sensitivity_table,
    make_multiplier_table,
    make_pruning_sensitivity_table,
    make_pruning_table,
    make_figures,
    recommend,
    ship,
    make_overview,


def dense_networks(name):
    """Return this file of every network that is not pruned, by every recipe."""
    return [f"{RESULTS}/{network.folder}/{name}" for network in ALL_NETWORKS if network.run == "dense"]


def pruned_networks(name):
    """Return this file of every round of every strategy, by every recipe it is quantized by."""
    return [f"{RESULTS}/{network.folder}/{name}" for network in ALL_NETWORKS if network.run != "dense"]


def timings(dense):
    """Return speed.json of every network whose time is measured, dense or pruned."""
    own = [network for network in ALL_NETWORKS if network.recipe not in SIMULATED]
    return [f"{RESULTS}/{network.folder}/speed.json" for network in own if (network.run == "dense") == dense]


def histories():
    """Return the history of every training run: dense, after each round, and quantization-aware."""
    return [f"{RESULTS}/{network.history}" for network in ALL_NETWORKS if network.history]


def training_threads(runs):
    """Threads of each of so many training runs: together they are faster side by side than one after another with
    several (benchmarks/grid.py). Asked of the study, not of the jobs that are left, on which no result may depend.
    """
    return max(1, min(MOST_THREADS, CORES // max(1, runs))) if CORES else MOST_THREADS


def pruned_runs():
    """The first round of every strategy, which the others follow one by one."""
    return {network.training for network in ALL_NETWORKS if Path(network.run).name == "round1"}


def aware_runs():
    return {network.history for network in ALL_NETWORKS if network.recipe in recipes_by("train_quantized")}


def figures():
    """Return (dataset, model, figure) for every figure of the study."""
    return [(*pair, figure) for pair in NETWORKS for figure in figures_of(REPORTED, *pair)]


def captions():
    """Return the captions of the study's figures."""
    return source_paths(*dict.fromkeys(f"{figure.name}.rst" for _, _, figure in figures()))


def onnx_models(wildcards):
    """Return every model file. A function: Snakemake compares a list as a whole, file by file."""
    return list(dict.fromkeys(f"{RESULTS}/{network.file}" for network in ALL_NETWORKS))


def strategy_of(wildcards):
    """Look a strategy up by its slug."""
    if wildcards.pruning not in STUDY.strategies:
        near = difflib.get_close_matches(wildcards.pruning, STUDY.strategies, n=3)
        hint = f"near it: {', '.join(near)}" if near else "its pruning section has none like it"
        raise WorkflowError(f"{wildcards.pruning} is no pruning strategy of study {STUDY.study}; {hint}")
    strategy = STUDY.strategies[wildcards.pruning]
    if int(wildcards.round) > strategy["rounds"]:
        raise WorkflowError(
            f"{wildcards.pruning} ends after round {strategy['rounds']}; there is no {wildcards.round}"
        )
    return strategy


def recipe_of(wildcards):
    """Look a recipe up by its slug; fp32 has none."""
    if wildcards.recipe == FP32:
        return None
    if wildcards.recipe not in RECIPES:
        near = difflib.get_close_matches(wildcards.recipe, RECIPES, n=3)
        hint = f"near it: {', '.join(near)}" if near else f"it has {', '.join(STUDY.recipes) or 'none'}"
        raise WorkflowError(f"{wildcards.recipe} is no quantization recipe of study {STUDY.study}; {hint}")
    return RECIPES[wildcards.recipe]


def precision_of(wildcards):
    """In which numbers the network of a recipe computes."""
    recipe = recipe_of(wildcards)
    return PRECISIONS[recipe["method"] if recipe else FP32]


def model_file(wildcards):
    """The file of a network: that of fp32, if runtimes are told to compute it in another precision."""
    return f"{RUN}/{FP32}/model.onnx" if precision_of(wildcards).hint else f"{RUN}/{{recipe}}/model.onnx"


def chosen_float(wildcards):
    """What says which layers a recipe leaves in float, if it leaves some."""
    keep = recipe_of(wildcards)["keep_float"]
    return f"{RUN}/{{recipe}}/mixed.json" if keep == AUTO else sensitivity_of(wildcards) if keep else []


def chosen_multipliers(wildcards):
    """What says with which circuit each layer multiplies, where that is left to Winnow."""
    return f"{RUN}/{{recipe}}/multipliers.json" if recipe_of(wildcards)["multiplier"] == AUTO else []


def own_tables(wildcards):
    """The user's own circuits that a recipe multiplies with."""
    return STUDY.own_tables(recipe_of(wildcards))


def content_of_tables(wildcards):
    """What they hold: another one is noticed even if it is older."""
    return "".join(map(content_of, own_tables(wildcards)))


def sensitivity_of(wildcards):
    return f"{RUN}/{STUDY.unspared(recipe_of(wildcards))}/sensitivity.json"


def sensitivities():
    """What each layer of the dense networks loses by each recipe of which that is measured."""
    return [f"{RESULTS}/{run}/{recipe}/sensitivity.json" for run in float_runs() for recipe in STUDY.probed]


def layer_times():
    """What each layer of these networks takes, in float and by each of these recipes."""
    recipes = (FP32, *STUDY.probed) if STUDY.probed else ()
    return [f"{RESULTS}/{run}/{recipe}/layer_times.json" for run in float_runs() for recipe in recipes]


def float_runs():
    """The folders of the dense networks."""
    return [network.training for network in ALL_NETWORKS if (network.run, network.recipe) == ("dense", FP32)]


def mixed_precisions():
    """How many layers of the dense networks stay in float, where that is left to Winnow."""
    return of_dense(
        "mixed.json", [slug for slug, recipe in STUDY.recipes.items() if recipe["keep_float"] == AUTO]
    )


def assignments():
    """With which circuit each layer of the dense networks multiplies, where that is left to Winnow."""
    return of_dense("multipliers.json", ASSIGNED)


def probed_sparsities():
    """What the first rounds left that measure what each layer bears."""
    first = {f"{slug}/round1" for slug in ALLOTTED}
    own = [network for network in ALL_NETWORKS if network.run in first and network.recipe == FP32]
    return [f"{RESULTS}/{network.training}/sparsity.json" for network in own]


def of_dense(name, recipes):
    """A file of each dense network by one of the recipes."""
    own = [network for network in ALL_NETWORKS if network.run == "dense" and network.recipe in recipes]
    return [f"{RESULTS}/{network.folder}/{name}" for network in own]


def recipes_by(rule):
    """The recipes whose networks a rule makes."""
    return [slug for slug, recipe in RECIPES.items() if PRECISIONS[recipe["method"]].rule == rule]


def request_of(wildcards, **changes):
    """What the study asks of a network."""
    return check_request(dataclasses.replace(STUDY, **changes), wildcards.dataset, wildcards.model)


def retraining_of(wildcards):
    """How a pruned network is trained: a function of where its weights were rewound to."""
    return STUDY.retraining[wildcards.model][strategy_of(wildcards)["rewind"]]


def last_run(wildcards):
    """The run that a round of pruning starts from."""
    strategy_of(wildcards)
    last = int(wildcards.round) - 1
    run = f"{wildcards.pruning}/round{last}" if last else "dense"
    return f"{RESULTS}/{wildcards.dataset}/{wildcards.model}/seed{wildcards.seed}/{run}"


def last_weights(wildcards):
    return f"{last_run(wildcards)}/weights.safetensors"


def last_masks(wildcards):
    """A first round has none."""
    return [] if wildcards.round == "1" else f"{last_run(wildcards)}/masks.safetensors"


def last_record(wildcards):
    """Nothing, if neither what was pruned, nor where it goes back to, nor a teacher is the work of a training."""
    if uses_training(strategy_of(wildcards)):
        return f"{last_run(wildcards)}/training.json"
    return f"{DENSE}/training.json" if retraining_of(wildcards)["distill"] else []


def rewind_point(wildcards):
    """The weights of the dense network to go back to, if any."""
    epoch = strategy_of(wildcards)["rewind_epoch"]
    if epoch is None:
        return []
    return f"{DENSE}/rewind-epoch{epoch}.safetensors" if epoch else first_weights(wildcards)


def first_weights(wildcards):
    """What the training of the dense network began with."""
    return (
        f"{IMPORTS}/{INITIAL}.safetensors"
        if wildcards.model in STUDY.imports
        else f"{DENSE}/init.safetensors"
    )


def initial_weights(wildcards):
    """Some criteria score them."""
    return first_weights(wildcards) if criterion(strategy_of(wildcards)["criterion"]).initial else []


def among(names):
    """Return the pattern of a wildcard that stands for one of these names, of which there may be none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def import_of(which):
    """Weights from elsewhere as the configuration names them, IMPORTED or INITIAL."""

    def settings(wildcards):
        if which not in STUDY.imports.get(wildcards.model, {}):
            raise WorkflowError(f"models.{wildcards.model} names no {which} weights")
        return STUDY.imports[wildcards.model][which]

    return settings


def own_weights(which):
    """The user's own file is an input; downloads are not."""

    def files(wildcards):
        weights = import_of(which)(wildcards)["weights"]
        return [] if weights.startswith(catalog.TORCHVISION) else [weights]

    return files


def content_of_weights(which):
    """What the user's own file holds: another one is noticed even if it is older."""
    return lambda wildcards: "".join(map(content_of, own_weights(which)(wildcards)))


def imported(wildcards):
    """The weights that a network begins with, if it was trained elsewhere."""
    return f"{IMPORTS}/{IMPORTED}.safetensors" if wildcards.model in STUDY.imports else []


def check_files(name):
    """Return this file of every network that is taken as it is, with the first seed, in fp32 and after calibration."""
    calibrated = [slug for slug, recipe in STUDY.recipes.items() if recipe["method"] == PTQ]
    calibrated = [slug for slug in calibrated if slug not in SIMULATED] or [PTQ]
    taken = [pair for pair in NETWORKS if not STUDY.training[pair[1]]["epochs"]]
    seed = STUDY.seeds[0]
    return [
        f"{RESULTS}/{dataset}/{model}/seed{seed}/dense/{recipe}/{name}"
        for dataset, model in taken
        for recipe in (FP32, calibrated[0])
    ]


def masks_of(wildcards):
    """A dense network has no masks."""
    return [] if wildcards.run == "dense" else f"{RUN}/masks.safetensors"


def sparsity_of(wildcards):
    return [] if wildcards.run == "dense" else f"{RUN}/sparsity.json"


def raw_images(wildcards):
    """The user's own folder or archive is an input; downloads and embedded data are not."""
    dataset = STUDY.datasets[wildcards.dataset]
    return [dataset["path"]] if catalog.SOURCES[dataset["source"]].own_files else []


def normalization_of(wildcards):
    """How the pixels of a data set become the input of a network."""
    return STUDY.normalization[wildcards.dataset][wildcards.model]


def images_of(wildcards):
    """What the user's own images are. A function: only who plans the preparation of a data set lists its images."""
    return "".join(map(images_digest, raw_images(wildcards)))


def training_record(wildcards):
    """The record of the last training a network went through."""
    own = precision_of(wildcards).name != FP32 and precision_of(wildcards).trained
    return f"{RUN}/{{recipe}}/training.json" if own else f"{RUN}/training.json"


def counterpart(wildcards):
    """The float network that a quantized one stands for; the weights of quantization-aware training have moved on."""
    own = precision_of(wildcards).name != FP32 and precision_of(wildcards).trained
    return f"{RUN}/{{recipe}}/float.onnx" if own else f"{RUN}/{FP32}/model.onnx"


def source_of_images(wildcards):
    """The code that prepares a data set, of its source alone."""
    source = STUDY.datasets[wildcards.dataset]["source"]
    return source_digest("prepare_dataset", catalog.SOURCES[source].module)


def source_of_network(script):
    """The code that makes a network, with that of its family; the user's own is in FACTORIES."""
    return lambda wildcards: source_digest(script, *family_of(wildcards))


def source_of_training(script):
    """The code that makes and trains a network."""

    def source(wildcards):
        training = TrainingSettings.of(STUDY.training[wildcards.model])
        return source_digest(script, *family_of(wildcards), *extras(training))

    return source


def source_of_recipe(script):
    """The code that quantizes by a recipe, with that of its multiplier."""
    return lambda wildcards: source_digest(script, *circuit_of(wildcards))


def circuit_of(wildcards):
    """The modules of the multipliers of a recipe, if they are not the exact one."""
    chosen = recipe_of(wildcards)["multiplier"]
    if chosen == EXACT:
        return []
    named = [EXACT, *(STUDY.candidates if chosen == AUTO else [chosen])]
    families = [family_of_multiplier(name) if isinstance(name, str) else FAMILIES[TABLE] for name in named]
    return sorted({family.module for family in families})


def source_of_later_training(script, settings, further=lambda wildcards: ()):
    """The code that trains a network once more, by settings that are a function of the wildcards."""

    def source(wildcards):
        values = settings(wildcards)
        distill = values["distill"] and DistillSettings.of(values["distill"])
        return source_digest(
            script, *extras(TrainingSettings.of(values["training"]), distill), *further(wildcards)
        )

    return source


def family_of(wildcards):
    """The module that builds a network, if it is a built-in one."""
    name = STUDY.models[wildcards.model]["name"]
    return [catalog.NETWORKS[name].module] if name else []


def qat_of(wildcards):
    """How a network is trained to be quantized by a recipe."""
    return STUDY.aware(wildcards.model, recipe_of(wildcards))


def teacher_of(settings):
    """The dense network, where another one is to learn from it."""
    return lambda wildcards: f"{DENSE}/weights.safetensors" if settings(wildcards)["distill"] else []


def source_of_criterion(wildcards):
    """The code that prunes, with that of its criterion, be it the user's own."""
    strategy = strategy_of(wildcards)
    scores = criterion(strategy["criterion"])
    words = (scores, STRUCTURES[strategy["structure"]])
    if scores.module:
        return source_digest("prune", scores.module, words=words)
    return source_digest("prune", words=words) + user_digest(scores.name)


def source_in_runtimes(script, names, *words):
    """The code that runs networks, with that of the runtimes."""
    runtimes = [RUNTIMES[name] for name in names]
    return source_digest(script, *(runtime.module for runtime in runtimes), words=(*runtimes, *words))


def source_of_scores(wildcards):
    """The code that evaluates, with that of the runtimes it does so in."""
    return source_in_runtimes("evaluate", SCORED, precision_of(wildcards))


def source_of_report(script):
    """The code of what shows strategies: some are controls, some go by magnitude."""
    names = {strategy["criterion"] for strategy in STUDY.strategies.values()}
    return source_digest(script, words=tuple(map(criterion, sorted(names))))


def gpus_for(training):
    """None to take weights as they are."""
    return GPUS if training["epochs"] else 0


def growing(amount):
    """A resource that grows with every attempt, so that a retry after an out-of-memory or time limit helps."""
    return lambda wildcards, attempt: amount * attempt


def report_failures():
    """Say in one line each, at the very end and for `make live`, which jobs have failed for good."""
    FAILURES.leave_word(workflow.scheduler.failed)
    if summary := FAILURES.summary(workflow.scheduler.failed):
        LOG.error(summary)


def check_cluster():
    """On Slurm, refuse what this cluster could never run, or is still running, before anything is submitted."""
    if workflow.executor_plugin.name != "slurm":
        return
    from winnow.cluster.requests import choices, distinct

    if UNTRIED:
        LOG.warning(UNTRIED)
    path = workflow.executor_settings.partition_config
    dag = workflow.persistence.dag
    submitted = {dag.get_job_group(job) or job for job in dag.needrun_jobs() if not job.is_local}
    try:
        check_orphans(Path.cwd(), STUDY.study)
        requests = distinct(submitted, choices(path))
        for said in check_requests(requests, configured_partitions(path), partitions(), path):
            LOG.warning(said)
    except WinnowError as error:
        raise WorkflowError(str(error))
