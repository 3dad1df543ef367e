import { memo } from 'react';
import { type Job, type Line, omittedLines, printedLines } from './job-events.ts';
import { Status } from './status.tsx';

interface JobPanelProps {
  readonly id: string;
  readonly job: Job;
  readonly isConnected: boolean;
  /** Why the job cannot be followed. */
  readonly error: string | undefined;
  readonly onCancel: () => void;
  readonly isCancelling: boolean;
  /** Why it could not be cancelled. */
  readonly cancelError: string | undefined;
}

/** A job as it happens: its status, its log and, at its end, the proof that every line of it has come. */
export function JobPanel({ id, job, isConnected, error, onCancel, isCancelling, cancelError }: JobPanelProps) {
  const { status, reason, lines, end, lastSequence } = job;
  return (
    <section className="panel job" aria-labelledby="job-heading">
      <header>
        <h2 id="job-heading">
          Job <code>{id}</code>
        </h2>
        <p role="status">{status !== undefined && <Status value={status} />}</p>
        {end === undefined && status !== undefined && (
          <button type="button" className="secondary" onClick={onCancel} disabled={isCancelling}>
            {isCancelling ? 'Cancelling…' : 'Cancel job'}
          </button>
        )}
      </header>
      {reason !== null && <p className="quiet">{reason}</p>}
      {[error, cancelError].map(
        (message) =>
          message !== undefined && (
            <p role="alert" className="error" key={message}>
              {message}
            </p>
          ),
      )}
      {end === undefined && error === undefined && !isConnected && (
        <p className="notice">{lastSequence === 0 ? 'Connecting…' : 'Connection lost. Reconnecting…'}</p>
      )}
      <div className="log">
        <ol role="log" aria-label="Log">
          {lines.map((line) => (
            <LogLine key={line.sequence} line={line} />
          ))}
        </ol>
      </div>
      {end !== undefined && (
        <Proof received={printedLines(job)} omitted={omittedLines(job)} printed={end.lines} exitCode={end.exitCode} />
      )}
    </section>
  );
}

// Lines never change: without memo every new one would render all those before it again.
const LogLine = memo(({ line }: { readonly line: Line }) => {
  if (line.__typename === 'OutputOmitted') return <li className="platform">… {line.lines} lines left out …</li>;
  return <li className={line.__typename === 'LogLine' ? line.stream.toLowerCase() : 'environment'}>{line.text}</li>;
});

interface ProofProps {
  readonly received: number;
  readonly omitted: number;
  readonly printed: number;
  readonly exitCode: number | null;
}

function Proof({ received, omitted, printed, exitCode }: ProofProps) {
  return (
    <p className={received + omitted >= printed ? 'quiet' : 'error'}>
      {received} of {printed} lines received{omitted > 0 && ', the others were left out'}
      {exitCode !== null && `, exit code ${exitCode}`}
    </p>
  );
}
