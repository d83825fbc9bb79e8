/** Returns the element that shows a portal in a page; its address is shortened, because the page gets a new one. */
export function snippetOf(url: string): string {
  const { origin, pathname, search } = new URL(url);
  return `<script src="${origin}/portal/hookstream-portal.js"></script>
<hookstream-portal url="${origin}${pathname}${search}#token=…"></hookstream-portal>
<script>
  document.querySelector("hookstream-portal").renew = () =>
    fetch("/my-backend/portal-access", { method: "POST" }).then((answer) => answer.json()).then(({ url }) => url);
</script>`;
}
