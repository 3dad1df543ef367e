/**
 * Runs in a page (`page.evaluate`), and sets `attempts`: each tries one thing with the platform, as a page may, and
 * resolves with what the page got to see of the answer; null when that is nothing. `target`: `url` and `mlflowUrl` of the
 * platform, a `marker` to name things by, and the `jobId` of a running job.
 */
globalThis.attempts = {
  'a JSON POST to REST': ({ url, marker }) =>
    answerOf(`${url}/mlops/training/upload`, { method: 'POST', headers: JSON_BODY, body: upload(marker) }),

  'a POST to REST without a preflight': ({ url, marker }) =>
    answerOf(`${url}/mlops/training/upload`, { method: 'POST', mode: 'no-cors', body: upload(marker) }),

  'a form to REST': ({ url, marker }) => {
    // The one field makes the body `{"script_name":…,"rest":"="}`.
    const [start] = upload(marker).split(/\}$/);
    return sendForm(`${url}/mlops/training/upload`, 'text/plain', { [`${start},"rest":"`]: '"}' });
  },

  'a POST without a body that cancels a job': ({ url, jobId }) =>
    answerOf(`${url}/mlops/training/jobs/${jobId}/cancel`, { method: 'POST', mode: 'no-cors' }),

  'a GraphQL mutation by JSON': ({ url, marker }) =>
    answerOf(`${url}/graphql`, { method: 'POST', headers: JSON_BODY, body: JSON.stringify({ query: submit(marker) }) }),

  'a GraphQL mutation by a form': ({ url, marker }) =>
    sendForm(`${url}/graphql`, 'application/x-www-form-urlencoded', { query: submit(marker) }),

  'a GraphQL mutation by GET': ({ url, marker }) => answerOf(graphqlUrl(url, submit(marker)), { mode: 'no-cors' }),

  'a GraphQL query by GET': ({ url, jobId }) =>
    answerOf(graphqlUrl(url, `{ trainingJob(id: "${jobId}") { id script } }`)),

  'a job over REST': ({ url, jobId }) => answerOf(`${url}/mlops/training/jobs/${jobId}`),

  'a subscription over a WebSocket': ({ url, jobId }) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
      socket.onopen = () => socket.send('{"type":"connection_init"}');
      socket.onmessage = ({ data }) => {
        const { type, payload } = JSON.parse(data);
        if (type === 'connection_ack') {
          socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: events(jobId) } }));
        } else if (type === 'next') {
          resolve(JSON.stringify(payload));
          socket.close();
        }
      };
      socket.onclose = () => resolve(null);
    }),

  'a subscription by EventSource': ({ url, jobId }) =>
    new Promise((resolve) => {
      const source = new EventSource(graphqlUrl(url, events(jobId)));
      const end = (seen) => {
        source.close();
        resolve(seen);
      };
      source.addEventListener('next', ({ data }) => end(data));
      source.onerror = () => end(null);
    }),

  'an image': ({ url, jobId }) => loads('img', `${url}/mlops/training/jobs/${jobId}`),

  'a frame': ({ url }) => loads('iframe', `${url}/graphql`),

  'a script': ({ url, jobId }) => loads('script', `${url}/mlops/training/jobs/${jobId}`),

  'a POST to the MLflow port': ({ mlflowUrl, marker }) => createExperiment(mlflowUrl, marker),

  'a POST to MLflow’s API on the API port': ({ url, marker }) => createExperiment(url, marker),
};

const JSON_BODY = { 'content-type': 'application/json' };

function upload(marker) {
  const names = { script_name: 'hostile.py', experiment_name: marker, model_name: marker };
  return JSON.stringify({ ...names, script_content: 'print(1)' });
}

function submit(marker) {
  const names = `scriptName: "hostile.py", experimentName: "${marker}", modelName: "${marker}"`;
  return `mutation { submitTrainingJob(input: { ${names}, script: "print(1)" }) { __typename } }`;
}

function events(jobId) {
  return `subscription { jobEvents(id: "${jobId}") { sequence } }`;
}

function graphqlUrl(url, query) {
  return `${url}/graphql?query=${encodeURIComponent(query)}`;
}

function createExperiment(url, marker) {
  const body = JSON.stringify({ name: marker });
  return answerOf(`${url}/api/2.0/mlflow/experiments/create`, { method: 'POST', mode: 'no-cors', body });
}

async function answerOf(url, options) {
  try {
    const response = await fetch(url, options);
    return (await response.text()) || null;
  } catch {
    return null;
  }
}

/** Sends a form to a frame, and waits for the frame's page. */
function sendForm(action, enctype, fields) {
  return new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.name = crypto.randomUUID();
    const form = document.createElement('form');
    Object.assign(form, { action, enctype, method: 'post', target: frame.name });
    for (const [name, value] of Object.entries(fields)) {
      form.append(Object.assign(document.createElement('input'), { name, value }));
    }
    document.body.append(frame, form);
    frame.onload = () => {
      try {
        resolve(frame.contentDocument.body.textContent || null);
      } catch {
        resolve(null);
      }
    };
    form.submit();
  });
}

function loads(tag, src) {
  return new Promise((resolve) => {
    const element = Object.assign(document.createElement(tag), {
      onload: () => resolve(tag === 'iframe' ? null : 'it has loaded'),
      onerror: () => resolve(null),
      src,
    });
    document.body.append(element);
  });
}
