rule evaluate:
    input:
        data=rules.prepare_dataset.output.data,
        onnx=model_file,
        source=f"{RUN}/fp32/model.onnx",
        counterpart=counterpart,
        weights=f"{RUN}/weights.safetensors",
        record=training_record,
        sparsity=sparsity_of,
    output:
        quality=f"{RUN}/{{recipe}}/quality.json",
    log:
        f"{LOGS}/evaluate/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/evaluate/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        normalization=normalization_of,
        recipe=recipe_of,
        bounds=STUDY.bounds,
        source=source_of_scores,
    script:
        "../scripts/evaluate.py"


rule benchmark:
    input:
        onnx=model_file,
        weights=f"{RUN}/weights.safetensors",
    output:
        speed=f"{RUN}/{{recipe}}/speed.json",
    log:
        f"{LOGS}/benchmark/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/benchmark/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: ALL_CORES
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        model=lookup(dpath="{model}", within=STUDY.models),
        precision=lambda wildcards: precision_of(wildcards).name,
        benchmark=STUDY.benchmark,
        source=lambda wildcards: source_in_runtimes("benchmark", STUDY.benchmark["runtimes"]),
    script:
        "../scripts/benchmark.py"


rule time_layers:
    input:
        onnx=model_file,
    output:
        times=f"{RUN}/{{recipe}}/layer_times.json",
    log:
        f"{LOGS}/time_layers/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/time_layers/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    wildcard_constraints:
        recipe=among([FP32, *STUDY.probed]),
    conda:
        "../envs/winnow.yaml"
    threads: ALL_CORES
    resources:
        mem_mb=growing(4000),
        runtime=growing(15),
    params:
        precision=lambda wildcards: precision_of(wildcards).name,
        timed={key: STUDY.recommend[key] for key in ("runtime", "batch_size", "threads")}
        | {"seconds": STUDY.benchmark["seconds"]},
        source=lambda wildcards: source_in_runtimes("time_layers", [STUDY.recommend["runtime"]]),
    script:
        "../scripts/time_layers.py"
