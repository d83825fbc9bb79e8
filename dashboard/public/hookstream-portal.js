// <hookstream-portal url="…"> shows a customer's portal in a frame: it grows with its content, and when its token ends it
// asks the page for another address. Attributes: url (of portal access), theme parameters as in docs/guides/portal.md.
// Property `renew`: a function that returns a new `url` or a promise of one.
(function () {
  var PARAMETERS = [
    "primaryColor",
    "primaryColorLight",
    "primaryColorDark",
    "darkMode",
    "fontFamily",
    "icon",
    "locale",
  ];
  PARAMETERS.push("hideNavigation", "noGutters", "next");

  class HookstreamPortal extends HTMLElement {
    static get observedAttributes() {
      return ["url"];
    }

    constructor() {
      super();
      this.renew = null;
      this.receive = this.receive.bind(this);
    }

    connectedCallback() {
      window.addEventListener("message", this.receive);
      this.show();
    }

    disconnectedCallback() {
      window.removeEventListener("message", this.receive);
    }

    attributeChangedCallback() {
      if (this.isConnected) this.show();
    }

    show() {
      var given = this.getAttribute("url");
      if (!given) return;
      var url = new URL(given, location.href);
      var token = new URLSearchParams(url.hash.slice(1)).get("token");
      this.origin = url.origin;
      if (this.frame && token) {
        this.frame.contentWindow.postMessage({ type: "hookstream:token", token: token }, this.origin);
        return;
      }
      PARAMETERS.forEach(function (name) {
        var value = this.getAttribute(name);
        if (value !== null) url.searchParams.set(name, value);
      }, this);
      this.frame = document.createElement("iframe");
      this.frame.title = this.getAttribute("label") || "Webhooks";
      this.frame.allow = "clipboard-write";
      this.frame.style.cssText = "border:0;width:100%;display:block;min-height:320px;color-scheme:normal";
      this.frame.src = url.href;
      this.replaceChildren(this.frame);
    }

    receive(event) {
      if (!this.frame || event.source !== this.frame.contentWindow || event.origin !== this.origin) return;
      var data = event.data || {};
      if (data.type === "hookstream:height" && data.height > 0)
        this.frame.style.height = Math.ceil(data.height) + "px";
      if (data.type === "hookstream:token-needed") this.ask();
    }

    ask() {
      this.dispatchEvent(new CustomEvent("tokenneeded", { bubbles: true }));
      if (typeof this.renew !== "function") return;
      Promise.resolve(this.renew()).then((url) => {
        if (typeof url === "string") this.setAttribute("url", url);
      });
    }
  }

  customElements.define("hookstream-portal", HookstreamPortal);
})();
