rule quantize_dynamic:
    input:
        onnx=f"{RUN}/fp32/model.onnx",
    output:
        onnx=f"{RUN}/{{recipe}}/model.onnx",
    log:
        f"{LOGS}/quantize_dynamic/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/quantize_dynamic/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    wildcard_constraints:
        recipe=among(recipes_by("quantize_dynamic")),
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(15),
    params:
        recipe=recipe_of,
        source=lambda wildcards: source_digest("quantize_dynamic"),
    script:
        "../scripts/quantize_dynamic.py"


rule measure_sensitivity:
    input:
        data=rules.prepare_dataset.output.data,
        weights=f"{RUN}/weights.safetensors",
    output:
        sensitivity=f"{RUN}/{{recipe}}/sensitivity.json",
    log:
        f"{LOGS}/measure_sensitivity/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/measure_sensitivity/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    wildcard_constraints:
        recipe=among(STUDY.probed),
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        recipe=recipe_of,
        source=lambda wildcards: source_digest("measure_sensitivity"),
    script:
        "../scripts/measure_sensitivity.py"


rule choose_float:
    input:
        data=rules.prepare_dataset.output.data,
        weights=f"{RUN}/weights.safetensors",
        sensitivity=sensitivity_of,
    output:
        mixed=f"{RUN}/{{recipe}}/mixed.json",
    log:
        f"{LOGS}/choose_float/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/choose_float/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    wildcard_constraints:
        recipe=among(slug for slug, recipe in RECIPES.items() if recipe["keep_float"] == AUTO),
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        recipe=recipe_of,
        max_accuracy_drop=STUDY.recommend["max_accuracy_drop"],
        source=lambda wildcards: source_digest("choose_float"),
    script:
        "../scripts/choose_float.py"


rule choose_multipliers:
    input:
        data=rules.prepare_dataset.output.data,
        weights=f"{RUN}/weights.safetensors",
        spared=chosen_float,
        tables=own_tables,
    output:
        multipliers=f"{RUN}/{{recipe}}/multipliers.json",
    log:
        f"{LOGS}/choose_multipliers/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/choose_multipliers/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    wildcard_constraints:
        recipe=among(slug for slug, recipe in RECIPES.items() if recipe["multiplier"] == AUTO),
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        recipe=lambda wildcards: STUDY.calibrated(recipe_of(wildcards)),
        candidates=STUDY.candidates,
        circuits=content_of_tables,
        drop=lambda wildcards: STUDY.drop_allowed(recipe_of(wildcards)),
        source=source_of_recipe("choose_multipliers"),
    script:
        "../scripts/choose_multipliers.py"


rule calibrate:
    input:
        data=rules.prepare_dataset.output.data,
        weights=f"{RUN}/weights.safetensors",
        spared=chosen_float,
        multipliers=chosen_multipliers,
        tables=own_tables,
    output:
        onnx=f"{RUN}/{{recipe}}/model.onnx",
    log:
        f"{LOGS}/calibrate/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/calibrate/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    wildcard_constraints:
        recipe=among(recipes_by("calibrate")),
    conda:
        "../envs/winnow.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        normalization=normalization_of,
        model=lookup(dpath="{model}", within=STUDY.models),
        recipe=recipe_of,
        baked_in=STUDY.export["baked_in"],
        circuits=content_of_tables,
        source=source_of_recipe("calibrate"),
    script:
        "../scripts/calibrate.py"


rule train_quantized:
    input:
        checked=rules.check_network.output.report,
        data=rules.prepare_dataset.output.data,
        weights=f"{RUN}/weights.safetensors",
        record=f"{RUN}/training.json",
        masks=masks_of,
        imported=imported,
        teacher=teacher_of(qat_of),
        multipliers=chosen_multipliers,
        tables=own_tables,
    output:
        onnx=f"{RUN}/{{recipe}}/model.onnx",
        float=f"{RUN}/{{recipe}}/float.onnx",
        history=f"{RUN}/{{recipe}}/history.csv",
        record=f"{RUN}/{{recipe}}/training.json",
    log:
        f"{LOGS}/train_quantized/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.log",
    benchmark:
        f"{LOGS}/train_quantized/{{dataset}}/{{model}}/seed{{seed}}/{{run}}/{{recipe}}.tsv"
    wildcard_constraints:
        recipe=among(recipes_by("train_quantized")),
    conda:
        "../envs/winnow.yaml"
    threads: training_threads(len(aware_runs()))
    resources:
        mem_mb=growing(8000),
        runtime=growing(480),
        gpu=GPUS,
    params:
        normalization=normalization_of,
        request=lambda wildcards, input: request_of(
            wildcards, recipes={wildcards.recipe: recipe_of(wildcards)}, strategies={}
        ),
        model=lookup(dpath="{model}", within=STUDY.models),
        qat=qat_of,
        recipe=recipe_of,
        baked_in=STUDY.export["baked_in"],
        circuits=content_of_tables,
        tdp_watts=STUDY.benchmark["tdp_watts"],
        source=source_of_later_training("train_quantized", qat_of, circuit_of),
    script:
        "../scripts/train_quantized.py"
