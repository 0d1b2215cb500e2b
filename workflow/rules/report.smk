rule collect:
    input:
        quality=[*dense_networks("quality.json"), *pruned_networks("quality.json")],
        speed=[*timings(dense=True), *timings(dense=False)],
        history=histories(),
        data=expand(f"{DATA}/{{dataset}}.safetensors", dataset=STUDY.datasets),
    output:
        results=f"{RESULTS}/results.csv",
        layers=f"{RESULTS}/layers.csv",
        confusion=f"{RESULTS}/confusion.csv",
        history=f"{RESULTS}/history.csv",
    log:
        f"{LOGS}/collect.log",
    benchmark:
        f"{LOGS}/collect.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        precisions=precisions(STUDY.recipes),
        trained=STUDY.trained,
        source=lambda wildcards: source_digest("collect"),
    script:
        "../scripts/collect.py"


rule make_quantization_table:
    input:
        # not results.csv: this table must not wait for the whole pruning grid
        quality=dense_networks("quality.json"),
        speed=timings(dense=True),
    output:
        csv=f"{RESULTS}/tables/quantization.csv",
        markdown=f"{RESULTS}/tables/quantization.md",
    log:
        f"{LOGS}/make_quantization_table.log",
    benchmark:
        f"{LOGS}/make_quantization_table.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        trained=STUDY.trained,
        source=lambda wildcards: source_digest("make_quantization_table"),
    script:
        "../scripts/make_quantization_table.py"


rule make_sensitivity_table:
    input:
        sensitivity=sensitivities(),
        mixed=mixed_precisions(),
        times=layer_times(),
    output:
        csv=f"{RESULTS}/tables/sensitivity.csv",
        markdown=f"{RESULTS}/tables/sensitivity.md",
        mixed_csv=f"{RESULTS}/tables/mixed.csv",
        mixed=f"{RESULTS}/tables/mixed.md",
    log:
        f"{LOGS}/make_sensitivity_table.log",
    benchmark:
        f"{LOGS}/make_sensitivity_table.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        unspared=unspared(STUDY.recipes, STUDY.probed),
        source=lambda wildcards: source_digest("make_sensitivity_table"),
    script:
        "../scripts/make_sensitivity_table.py"


rule make_pruning_sensitivity_table:
    input:
        sparsity=probed_sparsities(),
    output:
        csv=f"{RESULTS}/tables/pruning_sensitivity.csv",
        markdown=f"{RESULTS}/tables/pruning_sensitivity.md",
    log:
        f"{LOGS}/make_pruning_sensitivity_table.log",
    benchmark:
        f"{LOGS}/make_pruning_sensitivity_table.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        source=lambda wildcards: source_digest("make_pruning_sensitivity_table"),
    script:
        "../scripts/make_pruning_sensitivity_table.py"


rule make_multiplier_table:
    input:
        multipliers=assignments(),
    output:
        csv=f"{RESULTS}/tables/multipliers.csv",
        markdown=f"{RESULTS}/tables/multipliers.md",
    log:
        f"{LOGS}/make_multiplier_table.log",
    benchmark:
        f"{LOGS}/make_multiplier_table.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        source=lambda wildcards: source_digest("make_multiplier_table"),
    script:
        "../scripts/make_multiplier_table.py"


rule make_check_table:
    input:
        checks=CHECKS,
        quality=check_files("quality.json"),
        speed=check_files("speed.json"),
    output:
        markdown=f"{RESULTS}/tables/check.md",
    log:
        f"{LOGS}/make_check_table.log",
    benchmark:
        f"{LOGS}/make_check_table.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        recommend=STUDY.recommend,
        trained=STUDY.trained,
        source=lambda wildcards: source_digest("make_check_table"),
    script:
        "../scripts/make_check_table.py"


rule make_pruning_table:
    input:
        results=rules.collect.output.results,
    output:
        csv=f"{RESULTS}/tables/pruning.csv",
        markdown=f"{RESULTS}/tables/pruning.md",
    log:
        f"{LOGS}/make_pruning_table.log",
    benchmark:
        f"{LOGS}/make_pruning_table.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        source=lambda wildcards: source_digest("make_pruning_table"),
    script:
        "../scripts/make_pruning_table.py"


rule recommend:
    input:
        results=rules.collect.output.results,
    output:
        recommendation=f"{RESULTS}/recommendation.json",
    log:
        f"{LOGS}/recommend.log",
    benchmark:
        f"{LOGS}/recommend.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        recommend=STUDY.recommend,
        source=lambda wildcards: source_digest("recommend"),
    script:
        "../scripts/recommend.py"


rule make_figures:
    input:
        results=rules.collect.output.results,
        layers=rules.collect.output.layers,
        confusion=rules.collect.output.confusion,
        history=rules.collect.output.history,
        recommendation=rules.recommend.output.recommendation,
        sensitivity=rules.make_sensitivity_table.output.csv if STUDY.probed else [],
        assigned=rules.make_multiplier_table.output.csv if ASSIGNED else [],
        curves=rules.make_pruning_sensitivity_table.output.csv if ALLOTTED else [],
    output:
        svg=[
            report(
                f"{FIGURES}/{dataset}/{model}/{figure.name}.svg",
                caption=f"../report/{figure.name}.rst",
                category=figure.section,
                labels={"figure": figure.title, "data set": dataset, "network": model},
            )
            for dataset, model, figure in figures()
        ],
        png=[f"{FIGURES}/{dataset}/{model}/{figure.name}.png" for dataset, model, figure in figures()],
        undrawn=f"{FIGURES}/undrawn.json",
    log:
        f"{LOGS}/make_figures.log",
    benchmark:
        f"{LOGS}/make_figures.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        figures=figure_names(REPORTED, NETWORKS),
        recommend=STUDY.recommend,
        source=lambda wildcards: source_of_report("make_figures"),
    script:
        "../scripts/make_figures.py"


rule ship:
    input:
        results=rules.collect.output.results,
        recommendation=rules.recommend.output.recommendation,
        onnx=onnx_models,
        page=source_paths(*PAGE),
    output:
        best=report(
            directory(f"{RESULTS}/best"),
            patterns=["{dataset}/{model}/{page}.html"],
            caption="../report/model_card.rst",
            category="Networks to ship",
            labels={"data set": "{dataset}", "network": "{model}", "page": "{page}"},
        ),
    log:
        f"{LOGS}/ship.log",
    benchmark:
        f"{LOGS}/ship.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(15),
    params:
        recommend=STUDY.recommend,
        source=lambda wildcards: source_digest("ship"),
    script:
        "../scripts/ship.py"


rule make_overview:
    input:
        results=rules.collect.output.results,
        recommendation=rules.recommend.output.recommendation,
        svg=rules.make_figures.output.svg,
        undrawn=rules.make_figures.output.undrawn,
        checks=CHECKS,
        layers=(
            [rules.make_sensitivity_table.output.csv, rules.make_sensitivity_table.output.mixed_csv]
            if STUDY.probed
            else []
        ),
        assigned=rules.make_multiplier_table.output.csv if ASSIGNED else [],
        curves=rules.make_pruning_sensitivity_table.output.csv if ALLOTTED else [],
        sources=source_paths(*PAGE, *INTERACTIVE),
        captions=captions(),
    output:
        page=f"{RESULTS}/overview.html",
        tables=report(
            f"{RESULTS}/tables/tables.html",
            caption="../report/tables.rst",
            category="Tables",
            labels={"page": "all tables"},
        ),
        checklist=report(
            f"{RESULTS}/tables/checklist.html",
            caption="../report/checklist.rst",
            category="Tables",
            labels={"page": "checklist"},
        ),
        description=START_PAGE,
        ranking_csv=f"{RESULTS}/tables/ranking.csv",
        ranking=f"{RESULTS}/tables/ranking.md",
        published_csv=f"{RESULTS}/tables/published.csv",
        published=f"{RESULTS}/tables/published.md",
    log:
        f"{LOGS}/make_overview.log",
    benchmark:
        f"{LOGS}/make_overview.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study=REPORTED,
        source=lambda wildcards: source_of_report("make_overview"),
    script:
        "../scripts/make_overview.py"
