import { type FormEvent, useId } from 'react';
import type { SubmitJobMutation, SubmitTrainingJobInput } from './generated/graphql.ts';

const SCRIPT = `import time

for step in range(1, 31):
    print(f"step {step} of 30")
    time.sleep(0.2)
`;

const FIELDS = ['script', 'scriptName', 'experimentName', 'modelName'] as const;
type Field = (typeof FIELDS)[number];

interface SubmitFormProps {
  readonly onSubmit: (input: SubmitTrainingJobInput) => void;
  readonly isBusy: boolean;
  /** What the platform said of the last hand-in. */
  readonly result: SubmitJobMutation['submitTrainingJob'] | undefined;
  /** Why it could not be asked. */
  readonly error: string | undefined;
}

/** Takes a script and its names. What the platform finds wrong with a field is shown at that field. */
export function SubmitForm({ onSubmit, isBusy, result, error }: SubmitFormProps) {
  const issues = result?.__typename === 'InvalidInputError' ? result.issues : [];
  const issueOf = (field: Field) => issues.find(({ path }) => path.includes(field))?.message;
  const areShown = issues.length > 0 && issues.every(({ path }) => FIELDS.some((field) => path.includes(field)));
  const refusal = result?.__typename === 'TrainingJob' || areShown ? undefined : result?.message;
  const failure = error ?? refusal;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const text = (name: Field) => String(fields.get(name) ?? '');
    onSubmit({
      script: text('script'),
      scriptName: text('scriptName'),
      experimentName: text('experimentName'),
      modelName: text('modelName'),
    });
  };
  return (
    <form className="panel" onSubmit={submit} aria-labelledby="submit-heading">
      <h2 id="submit-heading">New job</h2>
      <TextField name="script" label="Script" value={SCRIPT} rows={9} issue={issueOf('script')} />
      <TextField name="scriptName" label="Script name" value="hello.py" issue={issueOf('scriptName')} />
      <TextField name="experimentName" label="Experiment" value="first_steps" issue={issueOf('experimentName')} />
      <TextField name="modelName" label="Model" value="hello" issue={issueOf('modelName')} />
      {failure !== undefined && (
        <p role="alert" className="error">
          {failure}
        </p>
      )}
      <button type="submit" disabled={isBusy}>
        {isBusy ? 'Handing in…' : 'Run script'}
      </button>
    </form>
  );
}

interface TextFieldProps {
  readonly name: Field;
  readonly label: string;
  readonly value: string;
  /** Present: a text of several lines. */
  readonly rows?: number;
  readonly issue: string | undefined;
}

function TextField({ name, label, value, rows, issue }: TextFieldProps) {
  const id = useId();
  const issueId = `${id}-issue`;
  const attributes = {
    id,
    name,
    defaultValue: value,
    spellCheck: false,
    'aria-invalid': issue !== undefined,
    'aria-describedby': issue === undefined ? undefined : issueId,
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {rows === undefined ? <input {...attributes} /> : <textarea {...attributes} rows={rows} />}
      {issue !== undefined && (
        <p id={issueId} role="alert" className="error">
          {issue}
        </p>
      )}
    </div>
  );
}
