"""Words for the codes that the APIs use: states, kinds, strengths, roles. Chinese, marked for translation."""

from __future__ import annotations

from service_portal.portal.translations import mark

PUSH_STATES = {
    "received": mark("已接收"),
    "validated": mark("已校验"),
    "committed": mark("已入仓"),
    "refused": mark("已退回"),
}
# Tone of a state: the class that colours its badge. The word always stands beside it.
PUSH_TONES = {"received": "wait", "validated": "wait", "committed": "good", "refused": "bad"}
LEVELS = {"strong": mark("强"), "middle": mark("一般"), "weak": mark("弱"), "missing": mark("缺失")}
ORG_KINDS = {
    "operator": mark("运营方"),
    "department": mark("部门"),
    "enterprise": mark("企业"),
    "provider": mark("第三方"),
}
WAREHOUSES = {"public": mark("公共数据仓"), "industry": mark("行业数据仓"), "enterprise": mark("企业数据仓")}
LIBRARIES = {"base": mark("基础库"), "industry": mark("行业库"), "scene": mark("场景库")}
ACCESS = {"open": mark("开放"), "government": mark("政府可读"), "owner": mark("仅所有者")}
MODES = {
    "append": mark("追加"),
    "upsert": mark("按主键更新"),
    "delete": mark("按主键删除"),
    "replace": mark("整体替换"),
}
PUSH_MODES = ("append", "upsert", "delete")
KEY_STATES = {"active": mark("有效"), "revoked": mark("已吊销"), "expired": mark("已过期")}
KEY_TONES = {"active": "good", "revoked": "bad", "expired": "wait"}
ROLES = {
    "operator": mark("运营管理员"),
    "analyst": mark("分析员"),
    "manager": mark("企业管理员"),
    "member": mark("企业成员"),
    "provider": mark("数据提供者"),
    "developer": mark("开发者"),
    "auditor": mark("审计员"),
    "agent": mark("代理"),
    "service": mark("平台服务"),
}
# Rules of a column, by their names in a contract.
RULES = {
    "enum": mark("可取"),
    "pattern": mark("格式"),
    "minimum": mark("不小于"),
    "maximum": mark("不大于"),
    "min_length": mark("最短"),
    "max_length": mark("最长"),
    "references": mark("引用"),
    "code_type": mark("代码"),
    "format": mark("格式"),
}
CODE_TYPES = {
    "uscc": mark("统一社会信用代码"),
    "region": mark("行政区划代码"),
    "industry_class": mark("国民经济行业分类"),
    "month": mark("月份"),
}
# What the platform adds to every row.
ADDED_COLUMNS = {"_owner": mark("来源方"), "_push": mark("推送"), "_pushed_at": mark("推送时间")}
LINEAGE_KINDS = {
    "dataset": mark("数据集"),
    "run": mark("运行"),
    "push": mark("推送"),
    "org": mark("来源方"),
    "component": mark("组件"),
    "indicator": mark("指标"),
    "external": mark("外部数据"),
}
QUOTA_RESOURCES = {"cores": mark("核"), "memory_mb": mark("内存 MB")}
LINEAGE_RUN_STATES = {
    "OTHER": mark("已上报"),
    "START": mark("已开始"),
    "RUNNING": mark("运行中"),
    "COMPLETE": mark("完成"),
    "FAIL": mark("失败"),
    "ABORT": mark("已中止"),
}
LINEAGE_RUN_TONES = {"START": "wait", "RUNNING": "wait", "COMPLETE": "good", "FAIL": "bad", "ABORT": "bad"}
# What an input column does for an output column, by OpenLineage's words.
COLUMN_LINKS = {
    "IDENTITY": mark("原样"),
    "TRANSFORMATION": mark("计算"),
    "AGGREGATION": mark("汇总"),
    "CONDITIONAL": mark("条件"),
    "WINDOW": mark("排序分组"),
}
JOB_STATES = {
    "queued": mark("排队"),
    "starting": mark("启动中"),
    "running": mark("运行中"),
    "succeeded": mark("成功"),
    "failed": mark("失败"),
    "cancelled": mark("已取消"),
}
JOB_TONES = {
    "queued": "wait",
    "starting": "wait",
    "running": "wait",
    "succeeded": "good",
    "failed": "bad",
    "cancelled": "",
    "lost": "bad",
    "returned": "wait",
}
ATTEMPT_STATES = {
    "prepared": mark("已分配"),
    "submitting": mark("已下发"),
    "submitted": mark("代理已接收"),
    "running": mark("运行中"),
    "succeeded": mark("成功"),
    "failed": mark("失败"),
    "cancelled": mark("已取消"),
    "lost": mark("结果未知"),
    "returned": mark("未开始，退回"),
    "preempted": mark("让出资源"),
}
PRIORITIES = {"high": mark("高"), "normal": mark("普通"), "low": mark("低"), "lent": mark("借出")}
RECLAIMS = {"wait": mark("等运行的作业结束"), "stop": mark("通知期后停止")}
ACCOUNT_STATES = {
    "same": mark("一致"),
    "differs": mark("有差异"),
    "untold": mark("对方未报"),
    "unknown_here": mark("本方没有"),
}
ACCOUNT_TONES = {"same": "good", "differs": "bad", "untold": "", "unknown_here": "bad"}
CENTRE_KINDS = {"region": mark("区域中心"), "industry": mark("行业中心"), "edge": mark("边缘中心")}
CENTRE_STATES = {
    "open": mark("接收作业"),
    "up": mark("接收作业"),
    "drained": mark("停止接收"),
    "lost": mark("失联"),
    "down": mark("不在"),
    "maintenance": mark("维护中"),
}
CENTRE_TONES = {
    "open": "good", "up": "good", "drained": "wait", "lost": "bad", "down": "bad", "maintenance": "wait",
}  # fmt: skip
RESERVATION_KINDS = {"reservation": mark("预留"), "maintenance": mark("维护")}
RESERVATION_STATES = {
    "planned": mark("未开始"),
    "open": mark("进行中"),
    "over": mark("已结束"),
    "cancelled": mark("已取消"),
}
RESERVATION_TONES = {"planned": "wait", "open": "good", "over": "", "cancelled": ""}
RUNNING_WAYS = {"leave": mark("留到自己结束"), "requeue": mark("停下，回到队列"), "end": mark("结束")}
OUTCOMES = {"ok": mark("成功"), "refused": mark("拒绝"), "failed": mark("失败")}
STAGES = {"upstream": mark("上游"), "midstream": mark("中游"), "downstream": mark("下游")}
# Numbers that are names: written without separators.
PLAIN_NUMBERS = frozenset({"year", "id", "row", "seq", "stage_order"})
QUERY_STATES = {
    "running": mark("运行中"),
    "done": mark("完成"),
    "finished": mark("完成"),
    "succeeded": mark("完成"),
    "failed": mark("失败"),
    "cancelled": mark("已取消"),
    "refused": mark("拒绝"),
    "timed_out": mark("超时"),
}

# Findings of the operation page: what it is, the unit of its number, what to do.
FINDINGS = {
    "part_failing": mark("部件不可用"),
    "disk_low": mark("磁盘空间不足"),
    "route_errors": mark("请求出错"),
    "commit_backlog": mark("推送久未提交"),
    "objects_slow": mark("对象存储缓慢"),
    "events_unreadable": mark("事件状态读不到"),
    "events_lag": mark("事件积压"),
    "events_dead": mark("事件未能处理"),
}
FINDING_UNITS = {
    "disk_low": mark("% 剩余"),
    "route_errors": mark(" 次"),
    "commit_backlog": mark(" 秒"),
    "objects_slow": mark(" 毫秒"),
    "events_lag": mark(" 个"),
    "events_dead": mark(" 个"),
}
FINDING_ACTIONS = {
    "part_failing": mark("运行 brain doctor，按它给出的办法修复该部件。"),
    "disk_low": mark("清理磁盘或迁移数据目录；空间用尽前推送会先被拒绝。"),
    "route_errors": mark("用 request_id 在日志里找出原因。"),
    "commit_backlog": mark("看提交进程是否在运行、对象存储是否可写。"),
    "objects_slow": mark("看对象存储的磁盘和网络。"),
    "events_unreadable": mark("看该服务与消息服务是否在运行。"),
    "events_lag": mark("看消费进程是否在运行，日志里有没有反复失败。"),
    "events_dead": mark("修好原因后在事件页重放。"),
}
COMPONENT_STATES = {
    "draft": mark("草稿"),
    "submitted": mark("待审批"),
    "published": mark("已发布"),
    "rejected": mark("已退回"),
    "withdrawn": mark("已撤回"),
}
COMPONENT_TONES = {"draft": "wait", "submitted": "wait", "published": "good", "rejected": "bad", "withdrawn": "bad"}
RUN_STATES = {
    "accepted": mark("受理"),
    "staged": mark("备好输入"),
    "queued": mark("排队"),
    "running": mark("运行中"),
    "computed": mark("计算完成"),
    "registered": mark("登记数据集"),
    "pushed": mark("写入结果"),
    "succeeded": mark("成功"),
    "failed": mark("失败"),
    "cancelled": mark("已取消"),
}
RUN_TONES = {"succeeded": "good", "failed": "bad", "cancelled": "bad"}
VALUE_KINDS = {"computed": mark("平台计算"), "reported": mark("单位填报")}
VALUE_STATES = {
    "computed": mark("已计算"),
    "confirmed": mark("已确认"),
    "no_value": mark("没有值"),
    "not_computed": mark("未计算"),
    "missing": mark("未填报"),
    "draft": mark("草稿"),
    "submitted": mark("待审核"),
    "returned": mark("已退回填报方"),
    "discarded": mark("已作废"),
    "hidden": mark("不公开"),
}
VALUE_TONES = {
    "computed": "good",
    "confirmed": "good",
    "no_value": "wait",
    "submitted": "wait",
    "returned": "bad",
    "missing": "",
    "draft": "",
}
CADENCES = {"year": mark("年度合计"), "as_of": mark("期末时点"), "current": mark("当前值"), "event": mark("变更时更新")}
REVIEW_ACTIONS = {
    "edit": mark("修改"),
    "submit": mark("提交审核"),
    "withdraw": mark("撤回"),
    "confirm": mark("确认"),
    "return": mark("退回"),
    "discard": mark("作废"),
}
INDICATOR_RUN_STATES = {
    "queued": mark("排队"),
    "running": mark("计算中"),
    "succeeded": mark("完成"),
    "failed": mark("失败"),
    "cancelled": mark("已取消"),
}
INDICATOR_RUN_TONES = {"queued": "wait", "running": "wait", "succeeded": "good", "failed": "bad", "cancelled": ""}
LEVEL_METHODS = {"criteria": mark("逐级达标"), "count": mark("按星数")}
HISTORY_ACTIONS = REVIEW_ACTIONS | {
    "create": mark("建立"),
    "add_evidence": mark("上传佐证"),
    "remove_evidence": mark("移除佐证"),
    "review": mark("逐项审核"),
    "put": mark("修改"),
}
PLACES = {"path": mark("路径"), "query": mark("查询"), "header": mark("请求头")}

TARIFF_KINDS = {
    "sharp": mark("尖"),
    "peak": mark("峰"),
    "flat": mark("平"),
    "valley": mark("谷"),
    "deep": mark("深谷"),
}
PERIOD_STATES = {"draft": mark("草稿"), "closed": mark("已关账")}
PERIOD_TONES = {"draft": "wait", "closed": "good"}
OWNERSHIP = {"own": mark("自有"), "borrowed": mark("借用")}
CHARGES = {
    "charged": mark("计费"),
    "providers_fault": mark("中心原因，不计费"),
    "taken_back": mark("被收回，不计费"),
    "no_price_list": mark("没有价目"),
}
ENTRY_KINDS = {"usage": mark("用量"), "reversal": mark("冲销"), "repriced": mark("改价")}
TRANSFER_STATES = {
    "booked": mark("已预订"),
    "moving": mark("传输中"),
    "done": mark("完成"),
    "failed": mark("失败"),
    "cancelled": mark("已取消"),
}
TRANSFER_TONES = {"booked": "wait", "moving": "accent", "done": "good", "failed": "bad"}
# Which rows and columns of a version a copy holds; anything else is the organisation whose rows it holds.
VIEWS = {"whole": mark("全部行"), "open": mark("公开的列")}
REPLICA_STATES = {"ready": mark("可用"), "suspect": mark("存疑"), "bad": mark("损坏")}
REPLICA_TONES = {"ready": "good", "suspect": "wait", "bad": "bad"}
REPLICA_HINTS = {
    "ready": mark("作业可以直接使用"),
    "suspect": mark("暂不使用，核对后重新登记"),
    "bad": mark("内容两次与 SHA-256 不符，不再使用；注销后会重新传输"),
}
RESOURCES = {"core": mark("核"), "memory": mark("内存"), "moved": mark("传输")}
UNITS = {
    "core_hour": mark("核时"),
    "gib_hour": mark("GiB 时"),
    "gb": "GB",
    "accelerator_hour": mark("卡时"),
}
SIMULATION_STATES = {
    "queued": mark("排队"),
    "running": mark("运行中"),
    "succeeded": mark("完成"),
    "failed": mark("失败"),
    "cancelled": mark("已取消"),
}
POLICIES = {
    "default": mark("现行：优先级与公平份额"),
    "easy": mark("先来先服务加回填"),
    "fair-share": mark("公平份额"),
    "fcfs": mark("先来先服务"),
    "short-first": mark("短作业优先"),
    "best-fit": mark("现行，但只看最满的节点"),
    "carbon": mark("低碳：短作业优先，可等更清洁的中心"),
}
# What of the policy is a number: its name and unit.
POLICY_VALUES = {
    "priority_s": (mark("一级优先级折合"), mark("秒")),
    "fair_share_s": (mark("用到公平份额折合"), mark("秒")),
    "short_first": (mark("按时限推后"), mark("倍")),
    "longest_set_back_s": (mark("最多推后"), mark("秒")),
    "preemption": (mark("让出资源"), ""),
    "preempt_after_s": (mark("等待超过才让出"), mark("秒")),
    "preempt_every_s": (mark("两次至少相隔"), mark("秒")),
    "preempt_most": (mark("一次最多让出"), mark("个")),
    "preempt_per_job": (mark("一个作业最多"), mark("次")),
    "staging_weight": (mark("搬运一秒折合"), mark("秒")),
    "price_s": (mark("一元折合"), mark("秒")),
    "carbon_s": (mark("一公斤 CO2 折合"), mark("秒")),
    "wait_weight": (mark("预计等待一秒按"), mark("秒")),
    "longest_hold_s": (mark("最多为更好的中心等"), mark("秒")),
}
TRACE_FORMATS = {
    "platform": mark("本平台的作业"),
    "swf": mark("SWF 日志"),
    "elasticflow": mark("ElasticFlow 日志"),
    "openb": mark("openb 的 pod 表与节点表（装箱）"),
}
SIMULATION_METRICS = {
    "mean_bounded_slowdown": mark("平均受限减速"),
    "utilisation": mark("利用率 %"),
    "mean_wait_s": mark("平均等待 秒"),
    "p95_wait_s": mark("等待第 95 百分位 秒"),
    "longest_wait_s": mark("最长等待 秒"),
    "mean_delay_s": mark("平均延迟 秒"),
    "p99_delay_s": mark("延迟第 99 百分位 秒"),
    "moved_pct": mark("异地运行 %"),
    "cost_yuan": mark("费用 元"),
    "electricity_yuan": mark("电费 元"),
    "co2_kg": mark("碳排放 kg"),
    "allocation_pct": mark("GPU 分配率 %"),
    "requested_pct": mark("GPU 申请率 %"),
    "placed_pct": mark("放下的 pod %"),
    "decisions_per_s": mark("每秒决定数"),
}
