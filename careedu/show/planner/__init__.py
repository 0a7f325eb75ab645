"""How many patients it would take: two designs of an experiment side by side; state and view."""

from careedu.show.planner.planner import PatientPlanner
from careedu.show.planner.view import PlannerView, plan_patients

__all__ = ["PatientPlanner", "PlannerView", "plan_patients"]
