rule prune:
    input:
        data=rules.prepare_dataset.output.data,
        weights=last_weights,
        masks=last_masks,
        snapshot=rewind_point,
        init=initial_weights,
    output:
        # made again from its inputs whenever retraining needs it
        start=temp(f"{PRUNED}/start.safetensors"),
        masks=f"{PRUNED}/masks.safetensors",
        sparsity=f"{PRUNED}/sparsity.json",
    log:
        f"{LOGS}/prune/{{dataset}}/{{model}}/seed{{seed}}/{{pruning}}/round{{round}}.log",
    benchmark:
        f"{LOGS}/prune/{{dataset}}/{{model}}/seed{{seed}}/{{pruning}}/round{{round}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        strategy=strategy_of,
        pruning=STUDY.pruning,
        source=source_of_criterion,
    script:
        "../scripts/prune.py"


rule retrain:
    input:
        data=rules.prepare_dataset.output.data,
        start=rules.prune.output.start,
        masks=rules.prune.output.masks,
        record=last_record,
        teacher=teacher_of(retraining_of),
    output:
        weights=f"{PRUNED}/weights.safetensors",
        history=f"{PRUNED}/history.csv",
        record=f"{PRUNED}/training.json",
    log:
        f"{LOGS}/retrain/{{dataset}}/{{model}}/seed{{seed}}/{{pruning}}/round{{round}}.log",
    benchmark:
        f"{LOGS}/retrain/{{dataset}}/{{model}}/seed{{seed}}/{{pruning}}/round{{round}}.tsv"
    conda:
        "../envs/winnow.yaml"
    threads: training_threads(len(pruned_runs()))
    resources:
        mem_mb=growing(8000),
        runtime=growing(720),
        gpu=lambda wildcards: gpus_for(retraining_of(wildcards)["training"]),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        retraining=retraining_of,
        tdp_watts=STUDY.benchmark["tdp_watts"],
        source=source_of_later_training("retrain", retraining_of),
    script:
        "../scripts/retrain.py"
