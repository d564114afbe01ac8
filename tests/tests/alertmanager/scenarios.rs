//! Configurations, and alerts that begin (`+`) and end (`-`) in steps.

/// Configuration, and steps. `$HOOK` is where webhooks go.
pub(crate) type Scenario = (&'static str, &'static [&'static [&'static str]]);

/// Nested routes, `continue`, the three kinds of matchers, groups by some labels, by none and by all, several channels,
/// a limit of alerts, and a receiver that is not told of what is resolved.
pub(crate) const ROUTES: Scenario = (
    r#"
global: {resolve_timeout: 5m}
route:
  receiver: default
  group_by: [alertname]
  group_wait: 2s
  group_interval: 4s
  repeat_interval: 1h
  routes:
    - match: {team: vision}
      receiver: vision
      group_by: [alertname, cluster]
      routes:
        - match_re: {service: "ocr|det.*"}
          receiver: ocr
          continue: true
        - matchers: ['severity="page"', '{ service != "hand" , zone !~ "test.*" }']
          receiver: pager
          group_by: ["..."]
    - matchers: ['team=~"voice|text"', severity!=info]
      receiver: lang
      continue: yes
      group_by: [team]
    - matchers: ['severity!~"page|warn.*"', 'team=""']
      receiver: low
      group_by: []
    - match: {severity: page, team: voice}
      receiver: pager
receivers:
  - {name: default, webhook_configs: [{url: $HOOK}]}
  - {name: vision, webhook_configs: [{url: $HOOK}, {url: $HOOK, max_alerts: 1}]}
  - {name: ocr, webhook_configs: [{url: $HOOK}]}
  - {name: pager, webhook_configs: [{url: $HOOK, send_resolved: true}]}
  - {name: lang, webhook_configs: [{url: $HOOK}]}
  - {name: low, webhook_configs: [{url: $HOOK, send_resolved: false}]}
"#,
    &[
        &[
            "+ alertname=Slow team=vision service=ocr severity=page cluster=a instance=i2",
            "+ alertname=Slow team=vision service=ocr severity=page cluster=a instance=i1 job=z",
            "+ alertname=Slow team=vision service=detect severity=warn cluster=b",
            "+ alertname=Slow team=vision service=xocr severity=warn cluster=b",
            "+ alertname=Slow team=vision service=face severity=warn cluster=b pod=p1",
            "+ alertname=Slow team=vision service=face severity=warn cluster=b",
            "+ alertname=Slow team=vision service=hand severity=page cluster=b",
            "+ alertname=Down team=vision service=face severity=page zone=test1",
            "+ alertname=Down team=voice severity=page",
            "+ alertname=Down team=text severity=info",
            "+ alertname=Down team=text severity=warning",
            "+ alertname=Down severity=info",
            "+ alertname=Slow severity=info",
            "+ alertname=Full name=值",
            "+ alertname=Full path=C:\\d\"q\"",
        ],
        &[
            "- alertname=Slow team=vision service=ocr severity=page cluster=a instance=i2",
            "- alertname=Slow team=vision service=xocr severity=warn cluster=b",
            "- alertname=Down severity=info",
            "- alertname=Down team=voice severity=page",
            "+ alertname=Slow team=vision service=face severity=warn cluster=b pod=p2",
            "+ alertname=Slow team=voice severity=warn",
        ],
        &[
            "+ alertname=Slow team=vision service=ocr severity=page cluster=a instance=i2",
            "- alertname=Slow severity=info",
            "- alertname=Full name=值",
            "- alertname=Full path=C:\\d\"q\"",
        ],
    ],
);

/// Inhibition: by equal labels, ones that are missing, in chains, and of alerts that match both sides.
pub(crate) const INHIBITION: Scenario = (
    r#"
route: {receiver: ops, group_by: [node], group_wait: 2s, group_interval: 4s, repeat_interval: 1h}
receivers: [{name: ops, webhook_configs: [{url: $HOOK}]}]
inhibit_rules:
  - source_match: {kind: gpu}
    target_match_re: {kind: "p99|err.*"}
    equal: [node]
  - source_matchers: ['kind="power"']
    target_matchers: ['kind=~"gpu|p99|power"', 'rack!=""']
    equal: [rack]
  - source_matchers: ['severity=~"critical|major"']
    target_matchers: ['severity=~"major|minor"']
    equal: [app, zone]
  - {source_match: {kind: link}, target_match: {kind: ping}, equal: [row]}
  - {source_match: {kind: site}, target_match: {kind: host}}
"#,
    &[
        &[
            "+ alertname=Xid kind=gpu node=n1",
            "+ alertname=P99 kind=p99 node=n1",
            "+ alertname=P99 kind=p99 node=n2",
            "+ alertname=Errors kind=errors node=n1",
            "+ alertname=Power kind=power rack=r1",
            "+ alertname=Xid kind=gpu node=n3 rack=r1",
            "+ alertname=P99 kind=p99 node=n3",
            "+ alertname=App severity=critical app=a",
            "+ alertname=App severity=major app=a",
            "+ alertname=App severity=minor app=a",
            "+ alertname=App severity=major app=b",
            "+ alertname=Oom severity=major app=b",
            "+ alertname=App severity=minor app=b",
            "+ alertname=App severity=major app=c zone=z",
            "+ alertname=App severity=minor app=c",
            "+ alertname=Link kind=link",
            "+ alertname=Ping kind=ping",
            "+ alertname=Ping kind=ping row=1",
            "+ alertname=Host kind=host node=n4",
        ],
        &[
            "- alertname=Xid kind=gpu node=n1",
            "- alertname=Link kind=link",
            "- alertname=App severity=critical app=a",
            "+ alertname=Site kind=site",
            "+ alertname=Host kind=host node=n5",
        ],
        &[
            "+ alertname=Xid kind=gpu node=n1",
            "- alertname=P99 kind=p99 node=n1",
            "- alertname=Power kind=power rack=r1",
            "- alertname=Site kind=site",
        ],
    ],
);

/// Intervals in which nobody is told, and outside of which nobody is; routes below do not inherit them.
pub(crate) const TIMES: Scenario = (
    "
route:
  receiver: open
  group_by: [alertname]
  group_wait: 2s
  group_interval: 4s
  repeat_interval: 1h
  routes:
    - {match: {when: muted}, receiver: muted, mute_time_intervals: [never, always]}
    - {match: {when: open}, receiver: unmuted, mute_time_intervals: [never, other-years]}
    - {match: {when: active}, receiver: active, active_time_intervals: [never, always]}
    - {match: {when: inactive}, receiver: inactive, active_time_intervals: [never]}
    - {match: {when: both}, receiver: both, active_time_intervals: [always], mute_time_intervals: [always]}
    - match: {when: nested}
      receiver: nested
      mute_time_intervals: [always]
      routes: [{match: {deep: yes}}]
receivers:
  - {name: open, webhook_configs: [{url: $HOOK}]}
  - {name: muted, webhook_configs: [{url: $HOOK}]}
  - {name: unmuted, webhook_configs: [{url: $HOOK}]}
  - {name: active, webhook_configs: [{url: $HOOK}]}
  - {name: inactive, webhook_configs: [{url: $HOOK}]}
  - {name: both, webhook_configs: [{url: $HOOK}]}
  - {name: nested, webhook_configs: [{url: $HOOK}]}
mute_time_intervals:
  - name: never
    time_intervals:
      - {weekdays: ['sunday:saturday'], years: ['1990:1999', '2001']}
      - {times: []}
time_intervals:
  - name: always
    time_intervals:
      - times: [{start_time: '00:00', end_time: '12:00'}, {start_time: '12:00', end_time: '24:00'}]
        weekdays: ['Sunday', 'monday:saturday']
        days_of_month: ['-31:-1']
        months: ['january:june', '7:12']
        years: ['2020:2199']
        location: Asia/Shanghai
  - {name: other-years, time_intervals: [{days_of_month: ['1:31'], years: [2001]}]}
",
    &[
        &[
            "+ alertname=A when=now",
            "+ alertname=A when=muted",
            "+ alertname=A when=open",
            "+ alertname=A when=active",
            "+ alertname=A when=inactive",
            "+ alertname=A when=both",
            "+ alertname=A when=nested",
            "+ alertname=A when=nested deep=yes",
        ],
        &["- alertname=A when=active", "- alertname=A when=muted", "+ alertname=B when=open"],
    ],
);
