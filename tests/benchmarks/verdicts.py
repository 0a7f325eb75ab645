"""How often a verdict is false and an interval holds the truth: `python tests/benchmarks/verdicts.py [draws]`.

Results are simulated in which no method is better than another (tests/unit/simulated.py says how): 2 to 40 groups of
test images, of one image each, equal, and very unequal; 2 to 6 methods in a table; 6 to 20 seeds; six populations, of
which the worst is printed. Where the draws leave it open whether a cell keeps to its limit, it is drawn again, afresh
and twenty times as often, and that is what counts. It takes about half an hour.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from simulated import POPULATIONS, SIZES, Cell, simulate

from careedu.measure.statistics import FEWEST_GROUPS

GROUPS, SEEDS = (2, 3, 4, 5, 6, 8, 12, 20, 40), (6, 10, 20)
MOST_FALSE, LEAST_COVERED, AGAIN = 0.06, 0.92, 20


def cell_of(population: str, kind: str, groups: int, seeds: int, draws: int) -> Cell:
    """One population; drawn again where it is near a limit."""
    cell = simulate(POPULATIONS[population], kind, groups, seeds=seeds, draws=draws)
    if max(cell.false.values()) <= 0.75 * MOST_FALSE and min(cell.covered, cell.covered_difference) >= 0.935:
        return cell
    return simulate(POPULATIONS[population], kind, groups, seeds=seeds, draws=AGAIN * draws, seed=1)


def main(draws: int) -> int:
    """Print the table; 1 where a cell does not keep to its limits."""
    kept = True
    print(f"{draws} tables a cell, the worst of {len(POPULATIONS)} populations")
    print(f"Verdicts need test groups worth {FEWEST_GROUPS} of one size")
    print(f"{'groups':>6} {'images':15} {'seeds':>5}  false verdicts with 2, 3, 4, 5, 6 methods   covered  difference")
    cells = [(g, kind, s) for kind in SIZES for g in GROUPS for s in SEEDS]
    for groups, kind, seeds in tqdm(cells, desc="cells", disable=not sys.stderr.isatty()):
        worst = [cell_of(name, kind, groups, seeds, draws) for name in POPULATIONS]
        false = [max(cell.false[m] for cell in worst) for m in range(2, 7)]
        covered, held = (min(getattr(c, of) for c in worst) for of in ("covered", "covered_difference"))
        given = max(cell.verdict for cell in worst)
        told = " ".join(f"{share:6.3f}" for share in false) if given else "   too few groups, no verdict     "
        fine = max(false) <= MOST_FALSE and (not given or min(covered, held) >= LEAST_COVERED)
        kept &= fine
        print(
            f"{groups:6} {kind:15} {seeds:5}  {told:42} {covered:8.3f}  {held:8.3f}{'' if fine else '  <-'}", flush=True
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
