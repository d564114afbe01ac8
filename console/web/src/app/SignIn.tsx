//! Signing in: by the identity provider, or with a token.
import { useEffect, useState } from "preact/hooks";
import { problemOf } from "../lib/data";
import { finishSignIn, session, signIn } from "../lib/session";
import { go } from "../lib/url";
import { Logo } from "./Logo";
import { w } from "./words";

export function SignIn() {
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const { tokens = true, oidc = false } = session.value ?? {};
  const wanted = location.pathname.startsWith("/sign-in") ? "/" : location.pathname + location.search;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!token.trim()) return setWrong(w.token_wrong());
    setBusy(true);
    setWrong("");
    try {
      await signIn(token.trim());
      if (location.pathname.startsWith("/sign-in")) go("/", true);
    } catch (error) {
      setWrong(problemOf(error).detail);
    } finally {
      setBusy(false);
    }
  };
  return (
    <main class="sign-in">
      <div class="sign-in-card">
        <Logo />
        <p class="faint">{w.sign_in_lead()}</p>
        {oidc && (
          <a class="btn btn-primary" href={`/auth/login?return=${encodeURIComponent(wanted)}`}>
            {w.sign_in_oidc()}
          </a>
        )}
        {oidc && tokens && <div class="or">{w.or()}</div>}
        {tokens && (
          <form onSubmit={submit}>
            <label for="token">{w.token()}</label>
            <input
              id="token"
              class="input"
              type="password"
              autocomplete="current-password"
              placeholder="weir_…"
              value={token}
              aria-invalid={wrong !== ""}
              aria-describedby="token-about"
              onInput={(event) => setToken(event.currentTarget.value)}
            />
            <small id="token-about" class={wrong ? "tone-bad" : "faint"} role={wrong ? "alert" : undefined}>
              {wrong || w.token_hint()}
            </small>
            <button class={oidc ? "btn" : "btn btn-primary"} type="submit" disabled={busy}>
              {busy ? w.signing_in() : w.sign_in()}
            </button>
          </form>
        )}
      </div>
    </main>
  );
}

/** Where the identity provider sends the visitor back to. */
export function Callback() {
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    const asked = new URLSearchParams(location.search);
    const [code, state, error] = [asked.get("code"), asked.get("state"), asked.get("error")];
    if (error || !code || !state) return setWrong(asked.get("error_description") ?? error ?? w.sign_in_incomplete());
    finishSignIn(code, state).then((wanted) => go(wanted, true), (error: unknown) => setWrong(problemOf(error).detail));
  }, []);
  return (
    <main class="sign-in">
      <div class="sign-in-card" role={wrong ? "alert" : "status"}>
        <Logo />
        <p>{wrong ? w.sign_in_failed() : w.signing_in()}</p>
        {wrong && (
          <>
            <p class="faint">{wrong}</p>
            <a class="btn btn-primary" href="/auth/login?return=/">
              {w.again()}
            </a>
          </>
        )}
      </div>
    </main>
  );
}
