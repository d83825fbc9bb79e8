/** Frame of a page: top bar with breadcrumbs, live state and acts; under it the content in its fixed order. */
import { Link, type LinkProps } from "@tanstack/react-router";
import { IconChevronLeft, IconChevronRight } from "@tabler/icons-react";
import { Fragment, type ReactNode, useEffect } from "react";
import { LiveTrouble } from "./LiveTrouble";
import classes from "./Page.module.css";

export interface Crumb {
  label: string;
  link?: LinkProps;
}

interface Props {
  crumbs: Crumb[];
  /** Live state and quiet acts, then the one primary act. */
  actions?: ReactNode;
  children: ReactNode;
  /** Primary act of a phone, in a bar at the foot. */
  foot?: ReactNode;
  /** A page without gutters, for tables from edge to edge. */
  isFlush?: boolean;
}

export function Page({ crumbs, actions, children, foot, isFlush = false }: Props) {
  const back = crumbs[crumbs.length - 2];
  const title = crumbs[crumbs.length - 1]?.label ?? "";
  useEffect(() => {
    document.title = `${title} · Hookstream`;
  }, [title]);
  return (
    <>
      <header className={classes.topbar}>
        <nav
          aria-label="Breadcrumbs"
          className={classes.crumbs}
          data-deep={back?.link !== undefined || undefined}
        >
          {back?.link && (
            <Link {...back.link} className={classes.back}>
              <IconChevronLeft size={18} stroke={1.7} />
              {back.label}
            </Link>
          )}
          {crumbs.map((crumb, index) => (
            <Fragment key={index}>
              {index > 0 && <IconChevronRight size={14} className={classes.chevron} />}
              {crumb.link === undefined || index === crumbs.length - 1 ? (
                <span className={classes.current}>{crumb.label}</span>
              ) : (
                <Link {...crumb.link} className={classes.crumb}>
                  {crumb.label}
                </Link>
              )}
            </Fragment>
          ))}
        </nav>
        <div className={classes.actions}>{actions}</div>
      </header>
      <LiveTrouble />
      <main id="content" className={isFlush ? classes.flush : classes.content} tabIndex={-1}>
        {children}
      </main>
      {foot && <div className={classes.foot}>{foot}</div>}
    </>
  );
}

/** Title with its tinted status, and one line of facts. */
export function Title({
  text,
  badge,
  facts,
  aside,
}: {
  text: string;
  badge?: ReactNode;
  facts?: ReactNode;
  aside?: ReactNode;
}) {
  return (
    <div className={classes.title}>
      <div className="row-wrap">
        <h1>{text}</h1>
        {badge}
        {aside !== undefined && <span className="ink-2">{aside}</span>}
      </div>
      {facts !== undefined && <div className={classes.facts}>{facts}</div>}
    </div>
  );
}
