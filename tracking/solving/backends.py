"""The solvers behind one function: HiGHS as a library, or any solver that PuLP knows.

Every call makes a fresh instance (the clock of a HiGHS instance runs on from call to call), uses one thread
and no tolerated gap, and checks the status: an answer comes back only where the solver has one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from scipy.sparse import csc_array

from celltrail.data.errors import InputError
from celltrail.data.running.children import watch_children
from celltrail.data.types import FloatArray


class SolverFailed(RuntimeError):
    """A solver stopped without an answer that can be used."""


@dataclass(frozen=True)
class LinearProgramme:
    """Minimise ``cost · x`` with ``lower ≤ matrix x ≤ upper`` and binary ``x``.

    Attributes
    ----------
    cost : FloatArray
        float64 (columns,).
    matrix : csc_array
        Csc (rows, columns).
    lower, upper : FloatArray
        float64 (rows,), ±inf allowed.
    """

    cost: FloatArray
    matrix: csc_array
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True)
class Answer:
    """``x`` float64 (columns,), ``dual`` of the rows (relaxation only), ``bound`` and whether it is proven optimal.

    ``x`` is ``None`` where the time limit came before a feasible answer.
    """

    x: FloatArray | None
    dual: FloatArray | None
    bound: float
    optimal: bool


Backend = Callable[[LinearProgramme, bool, float | None], Answer]


def backend(solver: str) -> Backend:
    """The function that solves a `LinearProgramme`: ``(problem, integer, seconds) → Answer``.

    ``solver`` is ``highs`` or ``pulp:NAME`` with a name that PuLP knows.

    Raises
    ------
    InputError
        If the solver is unknown or not installed; the message names those that are.
    """
    if solver == "highs":
        return solve_highs
    prefix, _, wanted = solver.partition(":")
    if prefix == "pulp" and wanted:
        return _pulp_backend(wanted)
    raise InputError(f"there is no solver '{solver}': choose {_installed()}.")


def _installed() -> str:
    import pulp

    with _pulp_of_today():
        found = pulp.listSolvers(onlyAvailable=True)
    names = [solver.removesuffix("_CMD").removeprefix("PULP_") for solver in found]
    return ", ".join(["highs", *(f"pulp:{entry}" for entry in dict.fromkeys(names))])


def solve_highs(problem: LinearProgramme, integer: bool, seconds: float | None) -> Answer:
    """Solve with HiGHS (Huangfu and Hall 2018), the integer programme or its relaxation to ``0 ≤ x ≤ 1``.

    Raises
    ------
    SolverFailed
        If HiGHS ends in any status but optimal or time limit.
    """
    rows, columns = problem.matrix.shape
    programme = highspy.HighsLp()
    programme.num_col_, programme.num_row_ = columns, rows
    programme.col_cost_ = problem.cost
    programme.col_lower_, programme.col_upper_ = np.zeros(columns), np.ones(columns)
    programme.row_lower_, programme.row_upper_ = problem.lower, problem.upper
    programme.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    programme.a_matrix_.start_ = problem.matrix.indptr
    programme.a_matrix_.index_ = problem.matrix.indices
    programme.a_matrix_.value_ = problem.matrix.data
    if integer:
        programme.integrality_ = [highspy.HighsVarType.kInteger] * columns
    # the relaxation of a set partitioning is solved several times faster as it stands; and numbers that presolve has
    # made awkward are often solved without it
    for presolve in ("choose", "off") if integer else ("off", "choose"):
        highs = highspy.Highs()
        options: dict[str, Any] = {
            "output_flag": False,
            "threads": 1,
            "mip_rel_gap": 0.0,
            "mip_abs_gap": 0.0,
            "presolve": presolve,
        }
        if seconds is not None:
            options["time_limit"] = max(seconds, 0.0)
        for option, value in options.items():
            highs.setOptionValue(option, value)
        if highs.passModel(programme) == highspy.HighsStatus.kError:
            raise SolverFailed("HiGHS refused the model")
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        if status == highspy.HighsModelStatus.kOptimal and feasible:
            solution = highs.getSolution()
            dual = None if integer else np.asarray(solution.row_dual)
            bound = info.mip_dual_bound if integer else info.objective_function_value
            return Answer(np.asarray(solution.col_value), dual, float(bound), optimal=True)
        if status == highspy.HighsModelStatus.kTimeLimit:
            x = np.asarray(highs.getSolution().col_value) if integer and feasible else None
            return Answer(x, None, float(info.mip_dual_bound) if integer else -np.inf, optimal=False)
    raise SolverFailed(f"HiGHS stopped with the status '{highs.modelStatusToString(status)}'")


@contextmanager
def _pulp_of_today() -> Iterator[None]:
    """Silence what PuLP 3 says about PuLP 4: the CBC that it ships is the one that everybody has."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", category=DeprecationWarning, module=r"pulp|celltrail\.tracking\.solving\.backends"
        )
        yield


def _pulp_backend(wanted: str) -> Backend:
    import pulp

    names = {"CBC": "PULP_CBC_CMD"}
    choices = [names.get(wanted, wanted), f"{wanted}_CMD"]
    with _pulp_of_today():
        known = set(pulp.listSolvers(onlyAvailable=True))
    found = next((entry for entry in choices if entry in known), None)
    if found is None:
        raise InputError(f"the solver '{wanted}' of PuLP is not installed: choose {_installed()}.")
    chosen: str = found

    def solve(problem: LinearProgramme, integer: bool, seconds: float | None) -> Answer:
        with _pulp_of_today():
            return _solve_pulp(chosen, problem, integer, seconds)

    return solve


def _solve_pulp(solver: str, problem: LinearProgramme, integer: bool, seconds: float | None) -> Answer:
    """The same programme in PuLP's words; any solver that PuLP can call.

    Raises
    ------
    SolverFailed
        If the solver reports no optimum and no feasible answer at its time limit.
    """
    import pulp

    columns = len(problem.cost)
    kind = pulp.LpBinary if integer else pulp.LpContinuous
    x = [pulp.LpVariable(f"x{j}", 0, 1, kind) for j in range(columns)]
    programme = pulp.LpProblem("tracking", pulp.LpMinimize)
    programme += pulp.LpAffineExpression(zip(x, problem.cost.tolist(), strict=True))
    rows = problem.matrix.tocsr()
    constraints = []
    for i in range(rows.shape[0]):
        inside = slice(rows.indptr[i], rows.indptr[i + 1])
        terms = pulp.LpAffineExpression(
            [(x[j], value) for j, value in zip(rows.indices[inside].tolist(), rows.data[inside].tolist(), strict=True)]
        )
        low, high = float(problem.lower[i]), float(problem.upper[i])
        constraint = terms == low if low == high else terms >= low if np.isfinite(low) else terms <= high
        programme += constraint, f"row{i}"
        constraints.append(f"row{i}")
    options: dict[str, Any] = {"msg": False, "timeLimit": seconds}
    if solver in ("PULP_CBC_CMD", "HiGHS", "COIN_CMD", "GUROBI", "GUROBI_CMD", "SCIP_PY", "SCIP_CMD"):
        options["gapRel"] = 0.0
    chosen = pulp.getSolver(solver, **options)
    chosen.tmpDir = str(watch_children())  # a solver of its own must neither outlive us nor leave its files
    programme.solve(chosen)
    values = np.array([np.nan if v.varValue is None else float(v.varValue) for v in x])
    complete = bool(np.isfinite(values).all())
    proven = programme.status == pulp.LpStatusOptimal and programme.sol_status == pulp.LpSolutionOptimal
    if proven and complete:
        dual = None
        if not integer:
            duals = [programme.constraints[entry].pi for entry in constraints]
            dual = None if any(value is None for value in duals) else np.array(duals, dtype=np.float64)
        return Answer(values, dual, float(problem.cost @ values), optimal=True)
    if seconds is not None and programme.status in (pulp.LpStatusOptimal, pulp.LpStatusNotSolved):
        feasible = programme.sol_status == pulp.LpSolutionIntegerFeasible and complete
        return Answer(values if feasible else None, None, -np.inf, optimal=False)
    raise SolverFailed(f"{solver} stopped with the status '{pulp.LpStatus[programme.status]}'")
