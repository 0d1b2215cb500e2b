rule import_network:
    input:
        data=rules.prepare_dataset.output.data,
        file=ancient(own_weights(IMPORTED)),
    output:
        weights=f"{IMPORTS}/{IMPORTED}.safetensors",
    log:
        f"{LOGS}/import_network/{{dataset}}/{{model}}.log",
    benchmark:
        f"{LOGS}/import_network/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        model=lookup(dpath="{model}", within=STUDY.models),
        factory=lookup(dpath="{model}", within=FACTORIES),
        settings=import_of(IMPORTED),
        content=content_of_weights(IMPORTED),
        source=source_of_network("import_network"),
    script:
        "../scripts/import_network.py"


use rule import_network as import_initial with:
    input:
        data=rules.prepare_dataset.output.data,
        file=ancient(own_weights(INITIAL)),
    output:
        weights=f"{IMPORTS}/{INITIAL}.safetensors",
    log:
        f"{LOGS}/import_initial/{{dataset}}/{{model}}.log",
    benchmark:
        f"{LOGS}/import_initial/{{dataset}}/{{model}}.tsv"
    params:
        model=lookup(dpath="{model}", within=STUDY.models),
        factory=lookup(dpath="{model}", within=FACTORIES),
        settings=import_of(INITIAL),
        content=content_of_weights(INITIAL),
        source=source_of_network("import_network"),


rule check_network:
    input:
        data=rules.prepare_dataset.output.data,
        imported=imported,
    output:
        report=f"{RESULTS}/{{dataset}}/{{model}}/check.json",
    log:
        f"{LOGS}/check_network/{{dataset}}/{{model}}.log",
    benchmark:
        f"{LOGS}/check_network/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        normalization=normalization_of,
        # with the second argument, changes do not count: what else is asked for is no reason to train again
        request=lambda wildcards, input: request_of(wildcards),
        model=lookup(dpath="{model}", within=STUDY.models),
        factory=lookup(dpath="{model}", within=FACTORIES),
    script:
        "../scripts/check_network.py"


rule train:
    input:
        checked=rules.check_network.output.report,
        data=rules.prepare_dataset.output.data,
    output:
        weights=f"{DENSE}/weights.safetensors",
        history=f"{DENSE}/history.csv",
        record=f"{DENSE}/training.json",
        snapshots=[
            f"{DENSE}/init.safetensors",
            *(f"{DENSE}/rewind-epoch{epoch}.safetensors" for epoch in REWIND_EPOCHS),
        ],
    log:
        f"{LOGS}/train/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{LOGS}/train/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    wildcard_constraints:
        model=among(name for name in STUDY.models if name not in STUDY.imports),
    conda:
        "../envs/winnow.yaml"
    threads: training_threads(len(float_runs()))
    resources:
        mem_mb=growing(8000),
        runtime=growing(720),
        gpu=GPUS,
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        factory=lookup(dpath="{model}", within=FACTORIES),
        training=lookup(dpath="{model}", within=STUDY.training),
        tdp_watts=STUDY.benchmark["tdp_watts"],
        source=source_of_training("train"),
    script:
        "../scripts/train.py"


rule tune:
    input:
        checked=rules.check_network.output.report,
        data=rules.prepare_dataset.output.data,
        imported=imported,
    output:
        weights=f"{DENSE}/weights.safetensors",
        history=f"{DENSE}/history.csv",
        record=f"{DENSE}/training.json",
    log:
        f"{LOGS}/tune/{{dataset}}/{{model}}/seed{{seed}}.log",
    benchmark:
        f"{LOGS}/tune/{{dataset}}/{{model}}/seed{{seed}}.tsv"
    wildcard_constraints:
        model=among(STUDY.imports),
    conda:
        "../envs/winnow.yaml"
    threads: training_threads(len(float_runs()))
    resources:
        mem_mb=growing(8000),
        runtime=growing(720),
        gpu=lambda wildcards: gpus_for(STUDY.training[wildcards.model]),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        factory=lookup(dpath="{model}", within=FACTORIES),
        training=lookup(dpath="{model}", within=STUDY.training),
        tdp_watts=STUDY.benchmark["tdp_watts"],
        source=source_of_training("tune"),
    script:
        "../scripts/tune.py"


rule export:
    input:
        data=rules.prepare_dataset.output.data,
        weights=f"{RUN}/weights.safetensors",
        masks=masks_of,
    output:
        onnx=f"{RUN}/fp32/model.onnx",
    log:
        f"{LOGS}/export/{{dataset}}/{{model}}/seed{{seed}}/{{run}}.log",
    benchmark:
        f"{LOGS}/export/{{dataset}}/{{model}}/seed{{seed}}/{{run}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(15),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        baked_in=STUDY.export["baked_in"],
        source=lambda wildcards: source_digest("export"),
    script:
        "../scripts/export.py"
