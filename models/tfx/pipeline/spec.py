"""The spec that the TypeScript side wrote beside the examples: every name and size, so that nothing is computed twice."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spec:
    season: int
    horizon: int
    step_ms: int | None
    levels: list[float]
    schema_hash: str
    base_schema_hash: str
    features: list[str]
    groups: list[dict]
    #: How many of `features`, the last ones, come from groups.
    group_columns: int
    monotone: list[int]
    sequence: tuple[int, int]
    context: tuple[int, int]
    steps_per_origin: int
    slices: list[str]
    seed: int
    effort: dict
    series: list[dict]
    examples: dict
    feature_statistics: dict
    witnesses: list
    data_sha256: str
    key: str
    #: Of the loads themselves; None where no series is long enough.
    load_statistics: dict | None = None

    @staticmethod
    def load(path: str | Path) -> "Spec":
        fields = json.loads(Path(path).read_text())
        fields["sequence"], fields["context"] = tuple(fields["sequence"]), tuple(fields["context"])
        return Spec(**fields)

    @property
    def median(self) -> int:
        return self.levels.index(0.5)
