/** Time as its age, with the exact one on hover. */
import { CopyButton, Tooltip } from "@mantine/core";
import { ago, exact, lasting } from "@/lib/words/times";
import { useNow } from "./ticker";
import classes from "./time.module.css";

export function RelativeTime({ value, className }: { value: string; className?: string }) {
  const time = new Date(value);
  const now = useNow(time.getTime());
  return (
    <ExactOnHover value={value}>
      <time dateTime={value} className={className ?? classes.time}>
        {ago(time, now)}
      </time>
    </ExactOnHover>
  );
}

/** How long something lasts that began at a time: `48 min`. */
export function SinceTime({ value }: { value: string }) {
  const time = new Date(value);
  const now = useNow(time.getTime());
  return (
    <ExactOnHover value={value}>
      <time dateTime={value} className={classes.time}>
        {lasting(time, now)}
      </time>
    </ExactOnHover>
  );
}

/** Shows the exact time of what it contains on hover, and copies it on click. */
export function ExactOnHover({ value, children }: { value: string; children: React.ReactElement }) {
  return (
    <CopyButton value={value} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={<Exact value={value} isCopied={copied} />}>
          <span className={classes.hover} onDoubleClick={copy}>
            {children}
          </span>
        </Tooltip>
      )}
    </CopyButton>
  );
}

/** Content of the tooltip, which is drawn only while it is shown. */
function Exact({ value, isCopied }: { value: string; isCopied: boolean }) {
  return <span className={classes.exact}>{isCopied ? "Copied" : exact(new Date(value))}</span>;
}
