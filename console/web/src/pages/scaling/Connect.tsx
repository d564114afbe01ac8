//! How KEDA or a HorizontalPodAutoscaler is connected, to copy.
import { here, param } from "../../lib/url";
import { CopyButton, Tabs } from "../../ui/parts";
import { w } from "./words";

const KEDA = {
  weir: `alerter:
  keda: {grpc: "0.0.0.0:9090", tls: {cert: tls.crt, key: tls.key, client_ca: keda-ca.crt}}
collector:
  tenant: {namespaces: {team-a: acme}}`,
  object: `apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: ocr, namespace: team-a}
spec:
  scaleTargetRef: {name: ocr}
  triggers:
    - type: external-push
      metricType: AverageValue
      authenticationRef: {name: weir, kind: ClusterTriggerAuthentication}
      metadata:
        scalerAddress: weir-alerter.weir:9090
        enableTLS: "true"
        query: sum(rate(weir_calls_total{service="ocr"}[1m])) or vector(0)
        target: "20"`,
};

const HPA = {
  weir: `alerter:
  external_metrics:
    listen: "0.0.0.0:6443"
    tls: {cert: tls.crt, key: tls.key}
    metrics:
      - {name: calls_per_second, query: 'sum(rate(weir_calls_total[1m])) or vector(0)'}
collector:
  tenant: {namespaces: {team-a: acme}}`,
  object: `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: ocr, namespace: team-a}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: ocr}
  minReplicas: 1
  maxReplicas: 20
  metrics:
    - type: External
      external:
        metric: {name: calls_per_second, selector: {matchLabels: {service: ocr}}}
        target: {type: AverageValue, averageValue: "20"}`,
};

export function Connect() {
  const isHpa = param("connect") === "hpa";
  const { weir, object } = isHpa ? HPA : KEDA;
  return (
    <div class="scaling-connect">
      <p>{w.empty()}</p>
      <Tabs
        label={w.examples()}
        current={isHpa ? "hpa" : "keda"}
        tabs={[
          { key: "keda", label: w.keda(), href: here({ connect: null }) },
          { key: "hpa", label: w.external_metrics(), href: here({ connect: "hpa" }) },
        ]}
      />
      <Example about={w.step_one()} text={weir} />
      <Example about={w.step_two()} text={object} />
    </div>
  );
}

function Example({ about, text }: { about: string; text: string }) {
  return (
    <div class="scaling-example">
      <div class="row">
        <span class="grow">{about}</span>
        <CopyButton text={text} />
      </div>
      <pre>{text}</pre>
    </div>
  );
}
