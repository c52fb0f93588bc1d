"""Who may call which operation, and what the tenant next door gets: read by `test_every_route.py`."""

from __future__ import annotations

from dataclasses import dataclass

# `neighbour` is the manager of another enterprise than the one that the examples belong to.
ROLES = ("operator", "analyst", "manager", "member", "provider", "developer", "auditor", "neighbour")
EVERYBODY = frozenset(ROLES)
SETS = {
    "public": EVERYBODY,  # no credentials are needed
    "all": EVERYBODY,
    "people": frozenset[str](),  # users who signed in: keys are refused
    "operator": frozenset({"operator"}),
    "reviewers": frozenset({"operator", "analyst"}),
    "auditors": frozenset({"operator", "auditor"}),
    "leading": frozenset({"operator", "analyst", "manager", "provider", "neighbour"}),
    "makers": frozenset({"operator", "analyst", "manager", "provider", "developer", "neighbour"}),
    "reporters": frozenset({"operator", "provider", "developer"}),
    "pushers": EVERYBODY - {"auditor"},
    "owner": frozenset({"manager", "developer"}),
    "government": frozenset({"operator", "analyst"}),
    "factories": frozenset({"manager", "member", "neighbour"}),
    "runners": frozenset({"operator", "analyst", "developer"}),
    "agents": frozenset[str](),  # the key of a centre's agent, which no role of people has
}


@dataclass(frozen=True)
class Access:
    """roles: who is not refused with 403; next_door: what the neighbour gets of the owner's things."""

    roles: frozenset[str]
    is_public: bool
    next_door: str


def table() -> dict[str, Access]:
    """The table by operation."""
    rows = [line.split() for line in TABLE.strip().splitlines() if not line.startswith("#")]
    return {name: Access(SETS[roles], roles == "public", next_door) for name, roles, next_door in rows}


# next door: 404  the example's request names a thing of the owner, which to the neighbour does not exist
#            own  the answer is made of the caller's own data: nothing of the owner stands in it
#            -    nothing of the owner is asked for, what is asked for is everybody's, or the role is refused
TABLE = """
# operation                                who        next door
identity.add_organisation                  operator   -
identity.list_organisations                all        own
identity.get_organisation                  all        404
identity.change_organisation               operator   -
identity.add_key                           leading    404
identity.list_keys                         leading    own
identity.get_key                           leading    404
identity.rotate_key                        leading    404
identity.revoke_key                        leading    404
identity.add_user                          leading    404
identity.list_users                        leading    own
identity.get_user                          leading    404
identity.sign_in                           public     -
identity.me                                all        own
identity.refresh                           public     -
identity.sign_out                          public     -
identity.change_password                   all        -
identity.sign_out_everywhere               people     -
identity.change_user                       leading    404
identity.list_audit                        all        own
identity.verify_audit                      auditors   -
data_hub.list_datasets                     all        own
data_hub.read_dataset                      all        -
data_hub.put_contract                      operator   -
data_hub.read_contract                     all        -
data_hub.push                              pushers    -
data_hub.list_pushes                       all        own
data_hub.read_push                         all        404
data_hub.read_rejects                      all        404
data_hub.query                             all        own
data_hub.read_query_page                   all        404
data_hub.list_queries                      all        own
data_hub.cancel_query                      all        404
data_hub.read_rows                         all        own
data_hub.list_versions                     all        -
data_hub.list_version_files                all        own
data_hub.read_version_file                 all        404
data_hub.pin_version                       makers     -
data_hub.unpin_version                     makers     404
data_hub.report_lineage                    reporters  -
data_hub.read_lineage                      all        own
data_hub.read_statistics                   all        own
algorithm_dev.put_artefact                 makers     -
algorithm_dev.put_draft                    makers     -
algorithm_dev.submit_version               makers     -
algorithm_dev.list_approvals               reviewers  -
algorithm_dev.approve_version              reviewers  -
algorithm_dev.find_components              all        -
algorithm_dev.read_component               all        -
algorithm_dev.read_version                 all        -
algorithm_dev.read_artefact                all        -
algorithm_dev.move_alias                   owner      -
algorithm_dev.read_alias_history           all        -
algorithm_dev.list_alias_moves             all        -
algorithm_dev.subscribe                    all        -
algorithm_dev.invoke                       all        -
algorithm_dev.read_usage                   all        own
algorithm_dev.verify_version               makers     404
algorithm_dev.remove_alias                 makers     404
algorithm_dev.reject_version               reviewers  -
algorithm_dev.delete_draft                 makers     404
algorithm_dev.unsubscribe                  all        -
algorithm_dev.withdraw_version             makers     -
government_services.put_chain              operator   -
government_services.get_chain              operator   -
government_services.rebuild_chain          operator   -
government_services.delete_chain           operator   -
government_services.list_chains            all        -
government_services.read_panorama          all        -
government_services.read_node              all        -
government_services.read_enterprise        all        404
government_services.read_overview          all        -
service_portal.list_plans                  all        -
service_portal.put_plan                    operator   -
service_portal.assign_plan                 operator   -
service_portal.read_usage                  all        own
service_portal.list_routes                 all        -
service_portal.read_event_lag              operator   -
service_portal.list_dead_letters           operator   -
service_portal.replay_dead_letter          operator   -
data_hub.derive                            makers     -
service_portal.read_operations             operator   -
compute_scheduler.list_centres             all        -
compute_scheduler.add_centre               operator   -
compute_scheduler.get_centre               all        -
compute_scheduler.change_centre            operator   -
compute_scheduler.make_centre_key          operator   -
compute_scheduler.fence_centre             operator   -
compute_scheduler.list_nodes               all        -
compute_scheduler.change_node              operator   -
compute_scheduler.list_quotas              operator   -
compute_scheduler.get_quota                all        404
compute_scheduler.put_quota                operator   -
compute_scheduler.delete_quota             operator   -
compute_scheduler.list_quota_groups        operator   -
compute_scheduler.put_quota_group          operator   -
compute_scheduler.delete_quota_group       operator   -
compute_scheduler.get_policy               operator   -
compute_scheduler.set_policy               operator   -
compute_scheduler.list_policy_versions     operator   -
compute_scheduler.set_job_priority         operator   -
compute_scheduler.read_accounting          all        own
compute_scheduler.read_inventory           all        -
compute_scheduler.put_inventory            operator   -
compute_scheduler.list_links               all        -
compute_scheduler.read_link                all        -
compute_scheduler.put_link                 operator   -
compute_scheduler.delete_link              operator   -
compute_scheduler.add_link_window          operator   -
compute_scheduler.delete_link_window       operator   -
compute_scheduler.list_replicas            operator   -
compute_scheduler.put_replica              operator   -
compute_scheduler.delete_replica           operator   -
compute_scheduler.list_data_rules          all        own
compute_scheduler.put_data_rule            operator   -
compute_scheduler.delete_data_rule         operator   -
compute_scheduler.read_data_quotes         all        -
compute_scheduler.read_utilisation         all        own
compute_scheduler.list_simulations         operator   -
compute_scheduler.make_simulation          operator   -
compute_scheduler.get_simulation           operator   -
compute_scheduler.cancel_simulation        operator   -
compute_scheduler.delete_simulation        operator   -
compute_scheduler.read_schedule            operator   -
compute_scheduler.list_price_lists         all        -
compute_scheduler.add_price_list           operator   -
compute_scheduler.get_price_list           all        -
compute_scheduler.list_energy_factors      all        -
compute_scheduler.add_energy_factors       operator   -
compute_scheduler.list_carbon_series       all        -
compute_scheduler.add_carbon_series        operator   -
compute_scheduler.read_carbon_hours        all        -
compute_scheduler.list_tariffs             all        -
compute_scheduler.add_tariff               operator   -
compute_scheduler.read_centre_tariff       all        -
compute_scheduler.try_price_list           operator   -
compute_scheduler.list_ledger              all        own
compute_scheduler.get_ledger_entry         all        404
compute_scheduler.correct_ledger_entry     operator   -
compute_scheduler.list_periods             all        own
compute_scheduler.close_period             operator   -
compute_scheduler.list_statements          all        own
compute_scheduler.get_statement            all        404
compute_scheduler.export_statements        all        own
compute_scheduler.put_file                 runners    -
compute_scheduler.get_file                 all        404
compute_scheduler.submit_job               runners    -
compute_scheduler.submit_jobs              runners    -
compute_scheduler.estimate_job             runners    -
compute_scheduler.list_jobs                all        own
compute_scheduler.get_job                  all        404
compute_scheduler.get_job_costs            all        404
compute_scheduler.cancel_job               all        404
compute_scheduler.retry_job                runners    -
compute_scheduler.read_job_log             all        404
compute_scheduler.open_agent_session       agents     -
compute_scheduler.pull_work                agents     -
compute_scheduler.report_work              agents     -
compute_scheduler.read_input               agents     -
compute_scheduler.put_output               agents     -
compute_scheduler.exchange_figures          agents     -
compute_scheduler.read_lending              operator   -
compute_scheduler.add_loan                  operator   -
compute_scheduler.get_loan                  operator   -
compute_scheduler.change_loan               operator   -
compute_scheduler.recall_loan               operator   -
compute_scheduler.make_loan_key             operator   -
compute_scheduler.read_lending_statement    operator   -
compute_scheduler.look_at_loan              agents     -
compute_scheduler.submit_borrowed           agents     -
compute_scheduler.begin_borrowed            agents     -
compute_scheduler.cancel_borrowed           agents     -
compute_scheduler.read_borrowed_log         agents     -
compute_scheduler.put_borrowed_file         agents     -
compute_scheduler.get_borrowed_output       agents     -
compute_scheduler.exchange_loan_figures     agents     -
compute_scheduler.read_transfer_manifest   agents     -
compute_scheduler.read_transfer_file       agents     -
compute_scheduler.list_transfers           all        own
compute_scheduler.read_transfer            all        404
compute_scheduler.cancel_transfer          operator   -
compute_scheduler.add_reservation          operator   -
compute_scheduler.preview_reservation      operator   -
compute_scheduler.list_reservations        all        own
compute_scheduler.read_reservation         all        404
compute_scheduler.cancel_reservation       operator   -
data_hub.export_lineage                    all        own
algorithm_dev.create_run                   makers     -
algorithm_dev.list_runs                    all        own
algorithm_dev.read_run                     all        404
algorithm_dev.cancel_run                   makers     404
evaluation.put_cluster                     operator   -
evaluation.get_cluster                     government -
evaluation.list_clusters                   government -
evaluation.delete_cluster                  operator   -
evaluation.list_sets                       all        -
evaluation.request_run                     reviewers  -
evaluation.get_run                         government -
evaluation.list_runs                       government -
evaluation.cancel_run                      reviewers  -
evaluation.create_report                   reviewers  -
evaluation.edit_report                     reviewers  -
evaluation.add_evidence                    reviewers  -
evaluation.get_evidence                    government -
evaluation.remove_evidence                 reviewers  -
evaluation.list_reports                    government -
evaluation.act_on_report                   reviewers  -
evaluation.get_report                      government -
evaluation.list_indicators                 all        -
evaluation.get_indicator                   all        -
evaluation.get_lineage                     government -
evaluation.get_series                      government -
evaluation.compare_clusters                government -
evaluation.export_indicators               all        -
evaluation.put_target                      reviewers  -
evaluation.list_targets                    government -
evaluation.get_weights                     all        -
evaluation.put_weights                     reviewers  -
evaluation.get_score                       government -
evaluation.get_level_rule                  all        -
evaluation.put_level_rule                  reviewers  -
evaluation.create_assessment               factories  -
evaluation.mark_criteria                   factories  404
evaluation.review_criteria                 reviewers  -
evaluation.add_assessment_evidence         factories  404
evaluation.get_assessment_evidence         all        404
evaluation.remove_assessment_evidence      factories  404
evaluation.act_on_assessment               factories  404
evaluation.get_assessment                  all        404
evaluation.list_assessments                all        own
evaluation.export_assessment               all        404
"""
