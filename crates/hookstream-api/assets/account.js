// The pages on which people sign in: one form each, over the same API that programs use.
"use strict";

const title = document.getElementById("title");
const lead = document.getElementById("lead");
const form = document.getElementById("form");
const error = document.getElementById("error");
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
const query = new URLSearchParams(location.search);

async function call(method, path, body) {
  const response = await fetch("/v1/" + path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({ error: "The server sent an invalid answer. Retry in a few seconds." }));
  if (!response.ok) throw Object.assign(new Error(plain(answer.error)), { code: answer.code, status: response.status });
  return answer;
}

// The API names fields in backticks, which mean nothing to whoever reads a page.
const FIELDS = { email: "This email address", name: "This name", password: "This password", code: "This code" };

function plain(text) {
  return text.replace(/^`(\w+)`/, (quoted, name) => (Object.hasOwn(FIELDS, name) ? FIELDS[name] : quoted)).replaceAll("`", "");
}

// Whether a link is still valid. An empty password is refused only after the link was accepted, and nothing is changed.
async function checkLink(path, body) {
  await call("POST", path, { ...body, token, password: "" }).catch((problem) => {
    if (problem.code === "link_over") throw problem;
  });
}

// Only a path of this installation: nobody is sent elsewhere after signing in.
function next() {
  // URL parsers drop tabs and line ends and read a backslash as a slash, so the parsed address is what counts.
  try {
    const url = new URL(query.get("next") || "", location.origin + "/sign-in");
    if (url.origin === location.origin) return url.pathname + url.search + url.hash;
  } catch {
    // No address at all.
  }
  return "/sign-in";
}

function show(heading, text) {
  title.textContent = heading;
  document.title = heading + " · Hookstream";
  lead.textContent = text;
  form.hidden = true;
  form.replaceChildren();
  error.textContent = "";
}

function field(name, label, type, autocomplete) {
  const text = document.createElement("label");
  text.textContent = label;
  text.htmlFor = name;
  const input = document.createElement("input");
  Object.assign(input, { id: name, name, type, autocomplete, required: true });
  form.append(text, input);
  return input;
}

function button(text, act, isSecond) {
  const made = document.createElement("button");
  made.type = isSecond ? "button" : "submit";
  made.textContent = text;
  if (isSecond) made.className = "second";
  made.addEventListener("click", (event) => {
    if (!isSecond && !form.reportValidity()) return;
    event.preventDefault();
    for (const one of form.querySelectorAll("button")) one.disabled = true;
    error.textContent = "";
    act()
      .catch((problem) => { error.textContent = problem.message; })
      .finally(() => { for (const one of form.querySelectorAll("button")) one.disabled = false; });
  });
  form.append(made);
}

function facts(pairs) {
  const list = document.createElement("dl");
  for (const [name, value] of pairs) {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value;
    list.append(term, text);
  }
  form.append(list);
}

function ready() {
  form.hidden = false;
  const first = form.querySelector("input");
  if (first) first.focus();
}

async function setUp() {
  await checkLink("auth/setup", { email: "owner@example.com" });
  show("Set up Hookstream", "Create the account of the first owner.");
  const email = field("email", "Email", "email", "username");
  const name = field("name", "Name", "text", "name");
  const password = field("password", "Password (at least 12 characters)", "password", "new-password");
  button("Create account", async () => {
    await call("POST", "auth/setup", { token, email: email.value, name: name.value, password: password.value });
    location.replace("/sign-in");
  });
  ready();
}

async function forgotPassword() {
  const { mail } = await call("GET", "auth/providers");
  if (!mail) {
    show("Forgot your password?", "This installation does not send email. Ask its operator for a link to set a new password.");
    button("Back", async () => location.assign("/sign-in"), true);
    return ready();
  }
  show("Forgot your password?", "Enter your email address to get a link to set a new password.");
  const email = field("email", "Email", "email", "username");
  button("Send link", async () => {
    await call("POST", "auth/password/forgot", { email: email.value });
    show("Check your email", "If an account with this address exists, we have sent a link to it. The link is valid for an hour.");
  });
  button("Back", async () => location.assign("/sign-in"), true);
  ready();
}

async function resetPassword() {
  await checkLink("auth/password/reset", {});
  show("Set a new password", "This signs you out everywhere else.");
  const password = field("password", "New password (at least 12 characters)", "password", "new-password");
  button("Set password", async () => {
    await call("POST", "auth/password/reset", { token, password: password.value });
    location.replace("/sign-in");
  });
  ready();
}

async function invitation() {
  const seen = await call("POST", "auth/invitations/look", { token });
  const { email, role, invited_by: inviter } = seen.invitation;
  show("Join " + seen.organization, "Invitation for " + email + " with the role " + role + ", from " + inviter + ".");
  const session = await call("GET", "auth/session").catch(() => null);
  const isSelf = session && session.user.email === email;
  if (seen.account_exists === 1 && !isSelf) {
    lead.textContent += " An account with this address exists. Sign in, then open this link again.";
    button("Sign in", async () => location.assign("/sign-in"));
    return ready();
  }
  if (seen.account_exists === null && !isSelf) {
    lead.textContent += " If you have an account with this address, sign in first, then open this link again.";
    button("Sign in", async () => location.assign("/sign-in"), true);
  }
  if (!isSelf) await providers("Join with ");
  const name = isSelf ? null : field("name", "Name", "text", "name");
  const password = isSelf ? null : field("password", "Password (at least 12 characters)", "password", "new-password");
  button("Join", async () => {
    const account = isSelf ? {} : { name: name.value, password: password.value };
    await call("POST", "auth/invitations/accept", { token, ...account });
    location.replace("/sign-in");
  });
  ready();
}

// The place to go to after the provider: it is this browser's own business, and nothing is decided by it.
const NEXT = "hookstream.next";

async function leaveFor(provider, connect) {
  const { url } = await call("POST", "auth/providers/" + encodeURIComponent(provider) + "/begin", { connect });
  sessionStorage.setItem(NEXT, query.get("next") || "");
  location.assign(url);
}

async function providers(words) {
  const offered = await call("GET", "auth/providers");
  for (const one of offered.providers) button(words + one.title, () => leaveFor(one.name, false), true);
  return offered;
}

// What a provider may say instead of a code (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0 section 3.1.2.6), in our words:
// whatever else stands in the address may be anybody's.
const REFUSALS = {
  access_denied: "The provider refused access, or you cancelled.",
  login_required: "The provider requires you to sign in there first.",
  temporarily_unavailable: "The provider is not available at the moment. Retry in a few minutes.",
  server_error: "The provider reported an error. Retry in a few minutes.",
};

async function callback() {
  const provider = location.pathname.split("/").pop();
  const [code, state, iss, refusal] = ["code", "state", "iss", "error"].map((name) => query.get(name));
  // The code is good once, and need not stand in the history.
  history.replaceState(null, "", location.pathname);
  try {
    if (refusal !== null || code === null) {
      throw new Error(Object.hasOwn(REFUSALS, refusal) ? REFUSALS[refusal] : "The provider did not identify you. Sign in again.");
    }
    await call("POST", "auth/providers/" + provider + "/end", { code, state: state || "", iss: iss === null ? undefined : iss });
    const path = sessionStorage.getItem(NEXT) || "";
    sessionStorage.removeItem(NEXT);
    location.replace("/sign-in" + (path ? "?next=" + encodeURIComponent(path) : ""));
  } catch (problem) {
    show("Sign-in failed", problem.message);
    button("Back", async () => location.replace("/sign-in"));
    ready();
  }
}

async function signIn() {
  const session = await call("GET", "auth/session").catch(() => null);
  if (session) return query.has("next") ? location.replace(next()) : await signedIn(session);
  show("Sign in", "");
  const { mail } = await providers("Sign in with ");
  const email = field("email", "Email", "email", "username");
  const password = field("password", "Password", "password", "current-password");
  let code = null;
  button("Sign in", async () => {
    try {
      await call("POST", "auth/sign-in", { email: email.value, password: password.value, code: code ? code.value : undefined });
    } catch (problem) {
      if (problem.code !== "second_factor_required") throw problem;
      lead.textContent = "Enter the code from your authenticator app, or a recovery code.";
      const submit = form.querySelector("button");
      code = code || field("code", "Code", "text", "one-time-code");
      form.append(submit);
      return code.focus();
    }
    location.replace(next());
  });
  if (mail) button("Forgot your password?", async () => location.assign("/forgot-password"), true);
  ready();
}

async function signedIn(session) {
  show("You are signed in", "");
  facts([["Email", session.user.email], ...session.memberships.map((one) => [one.name, one.role])]);
  const { providers: offered } = await call("GET", "auth/providers");
  for (const one of offered) {
    const path = "auth/providers/" + encodeURIComponent(one.name) + "/disconnect";
    const change = one.connected ? () => call("POST", path, {}).then(() => location.reload()) : () => leaveFor(one.name, true);
    button((one.connected ? "Disconnect " : "Connect ") + one.title, change, true);
  }
  button("API reference", async () => location.assign("/docs"));
  button("Sign out", async () => {
    await call("POST", "auth/sign-out", {});
    location.reload();
  }, true);
  ready();
}

async function device() {
  const session = await call("GET", "auth/session").catch((problem) => {
    if (problem.status !== 401) throw problem;
  });
  if (!session) return location.replace("/sign-in?next=" + encodeURIComponent(location.pathname + location.search));
  const given = query.get("code");
  if (!given) {
    show("Allow a device", "Enter the code that the device shows.");
    const code = field("code", "Code", "text", "off");
    button("Continue", async () => location.assign("/dashboard/cli-auth?code=" + encodeURIComponent(code.value)));
    return ready();
  }
  const { device: asking } = await call("GET", "auth/device/" + encodeURIComponent(given));
  const { environments } = await call("GET", "environments");
  show("Allow a device?", "The device gets an API key with your scopes. Allow it only if you started this yourself and the device shows this code.");
  facts([["Code", asking.user_code], ["Device", asking.name], ["Address", asking.address || "unknown"]]);
  const label = document.createElement("label");
  label.textContent = "Environment";
  label.htmlFor = "environment";
  const choice = document.createElement("select");
  choice.id = "environment";
  for (const one of environments.filter((one) => !one.deleted_at)) {
    choice.add(new Option(one.name, one.id, false, one.id === session.env_id));
  }
  form.append(label, choice);
  const path = "auth/device/" + encodeURIComponent(asking.user_code);
  button("Allow", async () => {
    await call("POST", path + "/allow", { env_id: choice.value });
    show("Device allowed", "Return to the device.");
  });
  button("Refuse", async () => {
    await call("POST", path + "/deny", {});
    show("Device refused", "The device gets no access.");
  }, true);
  ready();
}

const pages = { "/setup": setUp, "/forgot-password": forgotPassword, "/reset-password": resetPassword, "/invitation": invitation, "/sign-in": signIn, "/dashboard/cli-auth": device };
Promise.resolve()
  .then(location.pathname.startsWith("/sign-in/callback/") ? callback : pages[location.pathname] || signIn)
  .catch((problem) => {
    show(problem.code === "link_over" ? "Invalid link" : "Something went wrong", problem.message);
    button("Go to sign-in", async () => location.assign("/sign-in"), true);
    ready();
  });
