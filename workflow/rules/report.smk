rule collect:
    input:
        quality=[*dense_networks("quality.json"), *pruned_networks("quality.json")],
        speed=[*dense_networks("speed.json"), *pruned_networks("speed.json")],
    output:
        results=f"{RESULTS}/results.csv",
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
        source=source_digest("collect"),
    script:
        "../scripts/collect.py"


rule make_quantization_table:
    input:
        # not results.csv: this table must not wait for the whole pruning grid
        quality=dense_networks("quality.json"),
        speed=dense_networks("speed.json"),
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
        source=source_digest("make_quantization_table"),
    script:
        "../scripts/make_quantization_table.py"


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
        source=source_digest("make_pruning_table"),
    script:
        "../scripts/make_pruning_table.py"
