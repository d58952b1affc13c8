"""An agent looks the same in every figure, and its variants can be told apart."""

from __future__ import annotations

from routed_rl.experiments import styles
from routed_rl.experiments.styles import AGENTS, OTHERS, badge_of, choose_looks, look_of


def test_an_agent_keeps_its_look_whatever_it_is_compared_with() -> None:
    every = choose_looks(["routed", "naive", "oracle", "mine", "yours", "naive, recall 0.5"])
    assert every["routed"] == ("#0072b2", "o", "-", "full")
    assert every["naive"] == ("#d55e00", "v", "-", "full")
    assert every["naive, recall 0.5"] == ("#d55e00", "v", "--", "none")
    for method, look in every.items():
        assert choose_looks([method]) == {method: look}


def test_other_peoples_agents_have_looks_of_their_own() -> None:
    # By zlib.crc32, which is the same everywhere: 1772671891 and 3617194943.
    assert badge_of("mine") == OTHERS[1772671891 % 30] == ("#332288", ">")
    assert badge_of("yours") == OTHERS[3617194943 % 30] == ("#808000", "d")
    ours = set(AGENTS.values())
    assert len(ours | set(OTHERS)) == 7 + 30
    assert not {badge.colour for badge in ours} & {badge.colour for badge in OTHERS}
    assert not {badge.marker for badge in ours} & {badge.marker for badge in OTHERS}


def test_two_agents_of_one_badge_are_told_apart_like_variants() -> None:
    names = [f"agent{number}" for number in range(31)]  # of 30 badges
    looks = choose_looks(names)
    assert len(set(looks.values())) == 31
    assert all((look.colour, look.marker) == badge_of(name) for name, look in looks.items())


def test_shades_go_from_light_to_the_colour_itself() -> None:
    look = look_of("oracle")  # grey, a third of 255
    assert [shade.colour for shade in styles.shades(look, 3)] == ["#aaaaaa", "#808080", "#555555"]
    assert styles.shades(look, 1) == [look]
