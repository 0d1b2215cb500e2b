"""check_network: a study's demands on a network, each tried once before it is trained -> check.json."""

from adapter import Snakemake, job
from dataset_adapter import open_dataset
from winnow.check.feasibility import check_network, raise_failures
from winnow.config.settings import CheckSettings
from winnow.study.check import Check

snakemake: Snakemake

with job(snakemake) as run:
    wildcards, settings = snakemake.wildcards, CheckSettings.of(snakemake.params.request)
    data, imported = open_dataset(snakemake), snakemake.input.imported or None
    findings = tuple(check_network(settings, data, run, imported))
    works = all(finding.works for finding in findings)
    Check(wildcards.dataset, wildcards.model, works, findings).write(snakemake.output.report)
    raise_failures(findings)
