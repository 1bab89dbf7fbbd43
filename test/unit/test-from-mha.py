#!/usr/bin/env python3
"""mhad-from-mha(7) speaks of every tool, option, parameter and exit code of MHA 0.58: test-from-mha.py PAGE"""
import re
import sys

TOOLS = """masterha_manager masterha_stop masterha_check_status masterha_check_ssh masterha_check_repl masterha_master_monitor
    masterha_master_switch masterha_conf_host masterha_secondary_check save_binary_logs apply_diff_relay_logs
    filter_mysqlbinlog purge_relay_logs power_manager master_ip_failover master_ip_online_change send_report"""
OPTIONS = """conf global_conf workdir manager_workdir log_output manager_log help version wait_on_monitor_error
    wait_on_failover_error ignore_fail_on_start skip_ssh_check skip_check_ssh interactive check_only check_repl_health
    seconds_behind_master monitor_only master_state dead_master_host dead_master_ip dead_master_port new_master_host
    new_master_port ssh_reachable last_failover_minute ignore_last_failover skip_save_master_binlog remove_dead_master_conf
    remove_orig_master_conf skip_change_master skip_disable_read_only wait_until_gtid_in_sync ignore_binlog_server_error
    orig_master_is_new_slave running_updates_limit running_seconds_limit skip_lock_all_tables flush_tables app all basedir
    baselog status_dir ping_limit abort abort_timeout command block hostname params secondary_host user port options
    master_host master_ip master_user master_password ping_type timeout disable_relay_log_purge use_hardlink"""
ON_HOSTS = {
    "save_binary_logs": """command start_file start_pos binlog_prefix binlog_dir output_file datadir relay_log_info
        oldest_version handle_raw_binlog skip_filter disable_log_bin manager_version client_bindir client_libdir debug""",
    "apply_diff_relay_logs": """command datadir relay_log_info relay_dir current_relay_log scp_user scp_host scp_port
        ssh_options slave_user slave_pass slave_host slave_ip slave_port master_server_id server_id latest_mlf latest_rmlp
        target_mlf target_rmlp target_version workdir diff_file_readtolatest apply_files timestamp handle_raw_binlog
        disable_log_bin no_apply manager_version client_bindir client_libdir debug""",
    "purge_relay_logs": """user password host port socket defaults_file workdir relay_log_info disable_relay_log_purge
        use_hardlink""",
    "filter_mysqlbinlog": "help version",
}
PARAMETERS = """hostname ip port node_label ssh_host ssh_ip ssh_port ssh_connection_timeout ssh_options ssh_user user password
    repl_user repl_password disable_log_bin handle_raw_binlog master_pid_file master_binlog_dir remote_workdir
    manager_workdir manager_log log_level check_repl_delay check_repl_filter latest_priority multi_tier_slave
    candidate_master no_master ignore_fail skip_init_ssh_check skip_reset_slave use_gtid_auto_pos ping_interval ping_type
    secondary_check_script master_ip_failover_script master_ip_online_change_script shutdown_script report_script
    init_conf_load_script client_bindir client_libdir"""
STATUS = {0: "PING_OK", 2: "NOT_RUNNING", 3: "PARTIALLY_RUNNING", 10: "INITIALIZING_MONITOR", 20: "PING_FAILING",
          21: "PING_FAILED", 30: "RETRYING_MONITOR", 31: "CONFIG_ERROR", 32: "TIMESTAMP_OLD", 50: "FAILOVER_RUNNING",
          51: "FAILOVER_ERROR"}
FILES = ["master_status.health", "failover.complete", "failover.error", "saved_master_binlog_from_"]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        page = file.read().replace("\\-", "-")
    missing = [f"tool {tool}" for tool in TOOLS.split() if not re.search(rf"\b{tool}\b", page)]
    missing += [f"option --{option}" for option in OPTIONS.split() if not re.search(rf"--{option}\b(?!-)", page)]
    for tool, options in ON_HOSTS.items():
        section = re.search(rf"^\.SS {tool}\n(.+?)(?=^\.S[SH])", page, re.MULTILINE | re.DOTALL)
        missing += [f"option --{option} of {tool}" for option in options.split()
                    if not section or not re.search(rf"--{option}\b", section[1])]
    parameters = page[page.index(".SH PARAMETERS"):page.index(".SH EXIT CODES")]
    for parameter in PARAMETERS.split():
        found = re.search(rf"^\.TP\n\\fB{parameter}\\fR\n(.+)$", parameters, re.MULTILINE)
        if not found or len(found[1]) < 8 or found[1] in ("Not needed.", "Not needed: ."):
            missing.append(f"parameter {parameter}")
    missing += [f"code {code} {name}" for code, name in STATUS.items() if not re.search(rf"^{code} +{name} +\S", page, re.M)]
    missing += [f"file {name}" for name in FILES if name not in page]
    if "@PARAMETERS@" in page or "[binlogN]" not in page:
        missing.append("the template's places")
    sys.exit(f"mhad-from-mha(7) says nothing of: {', '.join(missing)}" if missing else 0)


if __name__ == "__main__":
    main()
