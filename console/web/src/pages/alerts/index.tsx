//! Alerts: what fires now, what fired, the rules, the silences, and what was sent.
import { useState } from "preact/hooks";
import { get } from "../../lib/api";
import { useData } from "../../lib/data";
import { count } from "../../lib/format";
import { asked, now } from "../../lib/time";
import type { Alerts } from "../../lib/types/alerts";
import { here, param } from "../../lib/url";
import { ProblemBox, Tabs } from "../../ui/parts";
import { Active } from "./Active";
import "./alerts.css";
import { HistoryTab } from "./History";
import { NotificationsTab } from "./Notifications";
import { ConfigErrors, PipelineState } from "./Pipeline";
import { RulesTab } from "./Rules";
import { SilenceDialog } from "./SilenceDialog";
import { SilencesTab } from "./Silences";
import { w } from "./words";

const TABS = ["active", "history", "rules", "silences", "notifications"] as const;
type Tab = (typeof TABS)[number];

/** What of the address belongs to one tab. */
const OWN = { alert: null, q: null, state: null, rule: null, sort: null, replay: null };

export default function Page() {
  const tab = TABS.find((tab) => tab === param("tab")) ?? "active";
  const alerts = useData(["alerts", now.value, param("tenant"), asked.value.end], (signal) => get<Alerts>("/api/v1/alerts", {}, signal));
  const [made, setMade] = useState(0);
  const { data, problem } = alerts;
  const firing = data?.alerts.filter((alert) => alert.state === "firing" && alert.status.state === "active").length;
  const isFull = tab === "active" || (tab === "rules" && !param("replay"));
  const label = (tab: Tab) => (tab === "active" && firing ? `${w.active()} · ${count(firing)}` : w[tab]());
  return (
    <div class={isFull ? "page-full" : "page"}>
      <Tabs label={w.sections()} current={tab} tabs={TABS.map((key) => ({ key, label: label(key), href: here({ ...OWN, tab: key === "active" ? null : key }) }))} />
      {problem && data && <ProblemBox problem={problem} retry={alerts.reload} />}
      {data && <PipelineState pipeline={data.pipeline} />}
      {data && <ConfigErrors of={data} />}
      {tab === "active" && <Active of={alerts} />}
      {tab === "history" && <HistoryTab active={data?.alerts ?? []} />}
      {tab === "rules" && <RulesTab alerts={data?.alerts ?? []} />}
      {tab === "silences" && <SilencesTab made={made} />}
      {tab === "notifications" && <NotificationsTab />}
      {param("silence") && <SilenceDialog key={param("silence")} alerts={data?.alerts ?? []} onDone={() => (setMade(made + 1), alerts.reload())} />}
    </div>
  );
}
