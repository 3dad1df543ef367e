/**
 * A folder of artifacts, by one of the ways in which an MLflow server gives their files: as a part of its own artifact store;
 * as artifacts of a run; or as those of a logged model. The last two work wherever the server keeps them.
 */
export type StoredFolder =
  | { readonly of: 'store'; readonly path: string }
  | { readonly of: 'run'; readonly id: string; readonly path: string }
  | { readonly of: 'logged model'; readonly id: string; readonly path: string };

const STORE = '/api/2.0/mlflow-artifacts/artifacts';

/**
 * The folder that an artifact's URI names, for what can be told from the URI alone; null for what lies elsewhere, such as
 * `s3://…`, of which only the server knows how to get there.
 */
export function storedFolderAt(uri: string): StoredFolder | null {
  const path = /^mlflow-artifacts:(?:\/\/[^/]*)?\/+(.*)$/.exec(uri)?.[1] ?? uri.split(`${STORE}/`, 2)[1];
  if (path !== undefined) return { of: 'store', path: path.replace(/\/+$/, '') };
  const id = /^models:\/+(m-[^/]+)$/.exec(uri)?.[1];
  return id === undefined ? null : { of: 'logged model', id, path: '' };
}

/** Where among artifacts that begin at `root` something lies; empty: it is the root itself, null: it is elsewhere. */
export function pathAmong(root: string, uri: string): string | null {
  const start = `${root.replace(/\/+$/, '')}/`;
  const whole = `${uri.replace(/\/+$/, '')}/`;
  return whole.startsWith(start) ? whole.slice(start.length, -1) : null;
}

/** What lists what is at `path` in a folder: the path and query of a request. */
export function listingOf(folder: StoredFolder, path: string): string {
  const at = join(folder.path, path);
  switch (folder.of) {
    case 'store':
      return `${STORE}?${new URLSearchParams({ path: at })}`;
    case 'run':
      return `/api/2.0/mlflow/artifacts/list?${new URLSearchParams({ run_id: folder.id, path: at })}`;
    case 'logged model': {
      const query = at === '' ? '' : `?${new URLSearchParams({ artifact_directory_path: at })}`;
      return `/api/2.0/mlflow/logged-models/${encodeURIComponent(folder.id)}/artifacts/directories${query}`;
    }
  }
}

/** What gives the bytes of the file at `path` in a folder: the path and query of a request. */
export function fileOf(folder: StoredFolder, path: string): string {
  const at = join(folder.path, path);
  switch (folder.of) {
    case 'store':
      return `${STORE}/${at.split('/').map(encodeURIComponent).join('/')}`;
    case 'run':
      return `/get-artifact?${new URLSearchParams({ run_uuid: folder.id, path: at })}`;
    case 'logged model': {
      const query = new URLSearchParams({ artifact_file_path: at });
      return `/ajax-api/2.0/mlflow/logged-models/${encodeURIComponent(folder.id)}/artifacts/files?${query}`;
    }
  }
}

function join(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('/');
}
