"""Puts envs/ and agents/ into the wheel as routed_rl.envs and routed_rl.agents."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    """Acts on standard wheels only: in an editable install the folders lie beside the package."""

    def initialize(self, version: str, build_data: dict) -> None:
        """Add the folders to what is packed."""
        if version == "standard":
            build_data["force_include"] |= {"envs": "routed_rl/envs", "agents": "routed_rl/agents"}
