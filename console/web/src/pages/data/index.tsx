//! Data that is taken for those who train: captures, their files, and defining one.
import { here, param } from "../../lib/url";
import { may } from "../../lib/session";
import { CaptureList } from "./CaptureList";
import { CaptureView } from "./CaptureView";
import "./data.css";
import { DefineView } from "./DefineView";
import { w } from "./words";

export default function Data() {
  const [capture, define] = [param("capture"), param("define")];
  return (
    <div class="page">
      {define && may("operator") ? (
        <>
          <nav class="data-path" aria-label={w.path()}>
            <a href={here({ define: null, capture: null })}>{w.back()}</a>
            <span aria-hidden="true">/</span>
            {capture && (
              <>
                <a class="ellipsis" href={here({ define: null })}>
                  {capture}
                </a>
                <span aria-hidden="true">/</span>
              </>
            )}
            <strong>{define === "change" ? w.form_change({ name: capture }) : w.form_new()}</strong>
          </nav>
          <DefineView key={`${define} ${capture}`} mode={define === "change" ? "change" : "new"} capture={capture} />
        </>
      ) : capture ? (
        <CaptureView key={capture} name={capture} />
      ) : (
        <CaptureList />
      )}
    </div>
  );
}
