"""Puts envs/, agents/ and configs/ into the wheel, as folders of routed_rl."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    """Acts on standard wheels only: in an editable install the folders lie beside the package."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Add the folders to what is packed."""
        if version == "standard":
            folders = ("envs", "agents", "configs")
            build_data["force_include"] |= {name: f"routed_rl/{name}" for name in folders}
