//! Asks weir. Paths and parameters are those of its OpenAPI document; what an answer holds is in types/.
import { signal } from "@preact/signals";
import type { paths } from "./schema";
import { param } from "./url";

/** RFC 9457, as every error of weir is. */
export interface Problem {
  status: number;
  title: string;
  detail: string;
  /** The parameter at fault. */
  parameter?: string;
}

export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
  }
}

type Method = "get" | "post" | "delete";
type With<M extends Method> = { [P in keyof paths]: paths[P][M] extends object ? P : never }[keyof paths];
type Parameters<P extends keyof paths, M extends Method> = paths[P][M] extends { parameters: infer Q } ? Q : never;
type Query<P extends keyof paths, M extends Method> = Parameters<P, M> extends { query?: infer Q } ? NonNullable<Q> : {};
type InPath<P extends keyof paths, M extends Method> = Parameters<P, M> extends { path: infer I } ? I : {};
type Value = string | number | boolean | null | undefined;
/** Parameters of a request, those in the path too; what is empty is left out. */
export type Arguments<P extends keyof paths, M extends Method = "get"> = {
  [K in keyof Query<P, M>]?: Value | Value[];
} & { [K in keyof InPath<P, M>]: Value };

export interface Options {
  signal?: AbortSignal;
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, in place of `body`. */
  text?: string;
}

/** Becomes true when weir says that the visitor is not signed in. */
export const signedOut = signal(false);

/** The address of a request, narrowed to the tenant that the page shows. */
export function address<P extends keyof paths, M extends Method = "get">(path: P, args: Arguments<P, M>): string {
  const query = new URLSearchParams();
  let text = path as string;
  const tenant = param("tenant");
  const all: Record<string, Value | Value[]> = { ...(tenant ? { tenant } : {}), ...(args as object) };
  for (const [name, value] of Object.entries(all)) {
    if (text.includes(`{${name}}`)) {
      text = text.replace(`{${name}}`, encodeURIComponent(String(value)));
      continue;
    }
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, String(one));
    }
  }
  const asked = query.toString();
  return asked ? `${text}?${asked}` : text;
}

/** Answers JSON, or throws an [`ApiError`]. */
export async function request<T>(method: string, to: string, { signal, body, text }: Options = {}): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  else if (text !== undefined) headers["content-type"] = "text/plain";
  const sent = body === undefined ? text : JSON.stringify(body);
  let answer: Response;
  try {
    answer = await fetch(to, { method, headers, signal, body: sent });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError({ status: 0, title: "unreachable", detail: String(error) });
  }
  if (!answer.ok) throw await failed(answer);
  const told = await answer.text();
  return (told ? JSON.parse(told) : undefined) as T;
}

/** The error that an answer tells of. */
export async function failed(answer: Response): Promise<ApiError> {
  if (answer.status === 401) signedOut.value = true;
  const text = await answer.text();
  let told: Partial<Problem> & { error?: string } = {};
  try {
    told = JSON.parse(text);
  } catch {
    // A proxy between answers as it likes.
  }
  const { status } = answer;
  const detail = told.detail ?? told.error ?? text.slice(0, 500);
  return new ApiError({ ...told, status, title: told.title ?? answer.statusText, detail });
}

/** Parameters of any route with this method: TypeScript infers no path beside a type that is written down. */
type Some<M extends Method> = { [P in With<M>]: Arguments<P, M> }[With<M>];

/** The answer is of type `T`, as lib/types says. */
export function get<T>(path: With<"get">, args: Some<"get">, signal?: AbortSignal): Promise<T> {
  return request("GET", address(path, args as Arguments<With<"get">>), { signal });
}

export function post<T>(path: With<"post">, args: Some<"post">, options?: Options): Promise<T> {
  return request("POST", address<With<"post">, "post">(path, args as Arguments<With<"post">, "post">), options);
}

export function del(path: With<"delete">, args: Some<"delete">): Promise<void> {
  return request("DELETE", address<With<"delete">, "delete">(path, args as Arguments<With<"delete">, "delete">));
}
