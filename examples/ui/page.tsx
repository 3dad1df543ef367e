import type { ReactNode } from 'react';
import './styles.css';

interface PageProps {
  readonly library: string;
  readonly children: ReactNode;
  readonly job: ReactNode;
}

/** Jobs to hand in and to choose on one side, the chosen one on the other. */
export function Page({ library, children, job }: PageProps) {
  return (
    <>
      <header className="top">
        <h1>Asgard</h1>
        <p className="quiet">with {library}</p>
      </header>
      <main>
        <div className="side">{children}</div>
        {job ?? <p className="panel quiet">Run a script, or choose a job to follow.</p>}
      </main>
    </>
  );
}
