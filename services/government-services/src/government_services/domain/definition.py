"""A chain's definition: which data sets and columns give its nodes, links, enterprises and measures.

A cluster builds its panorama from the data that it has; the canonical industry model is only the default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Dataset = Annotated[str, StringConstraints(pattern=r"^(public|industry|enterprise)\.[a-z][a-z0-9_]{0,62}$")]
Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
ChainId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
RegionPrefix = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,6}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    dataset: Dataset
    where: str | None = Field(None, max_length=2000, description="SQL condition on the data set's own columns")


class Nodes(_Part):
    """Where the chain's nodes 环节 come from."""

    id: Column
    name: Column
    stage: Column | None = None
    stage_order: Column | None = None
    parent: Column | None = None


class Links(_Part):
    """Where the links come from; `by` says whether they name nodes by id or by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    source: Column = Field(alias="from")
    target: Column = Field(alias="to")
    weight: Column | None = None
    by: Literal["id", "name"] = "id"


class Enterprises(_Part):
    """Where the enterprises come from; attributes are shown in profiles and counted in the overview."""

    id: Column
    name: Column
    region: Column | None = None
    attributes: dict[str, Column] = {}


class Members(_Part):
    """Which enterprise works at which node; an enterprise may work at several."""

    enterprise: Column
    node: Column


class Measure(_Part):
    """A monthly figure of enterprises, such as revenue."""

    enterprise: Column
    value: Column
    month: Column
    unit: str = ""
    title: str = ""
    window_months: int = Field(12, ge=1, le=60)


class ChainDefinition(BaseModel):
    """A chain 产业链 and where its facts come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: ChainId
    name: str = Field(min_length=1, max_length=100)
    synthetic: bool = Field(False, description="shown as 合成数据 wherever figures of the chain stand")
    region: RegionPrefix | None = Field(None, description="GB/T 2260 prefix of the home region")
    compare_region: RegionPrefix | None = Field(None, description="prefix of the region that quotients compare with")
    nodes: Nodes
    links: Links | None = None
    enterprises: Enterprises
    members: Members
    measures: dict[str, Measure] = {}

    def parts(self) -> dict[str, _Part]:
        """The named parts that facts are read for, in the order in which they build on each other."""
        named: dict[str, _Part] = {"nodes": self.nodes}
        if self.links:
            named["links"] = self.links
        named |= {"enterprises": self.enterprises, "members": self.members}
        return named | {f"measure:{name}": measure for name, measure in self.measures.items()}

    def parts_touched_by(self, dataset: str) -> set[str]:
        """The parts to read anew after a commit to a data set.

        Monthly totals count members only, so a change of members touches every measure too.
        """
        touched = {name for name, part in self.parts().items() if part.dataset == dataset}
        if "members" in touched:
            touched |= {name for name in self.parts() if name.startswith("measure:")}
        return touched
