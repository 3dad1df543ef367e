import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderId } from '../../src/platform/folder-id.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'asgard-folder-id-'));
  return () => rm(folder, { recursive: true, force: true });
});

describe('the id of a data folder', () => {
  it("is made once, and is another folder's never", async () => {
    const id = await folderId(folder);
    expect(await folderId(folder)).toBe(id);
    expect(await readdir(folder)).toEqual(['id']);
    const other = await mkdtemp(join(folder, 'other-'));
    expect(await folderId(other)).not.toBe(id);
  });

  it('is made anew where it was written half', async () => {
    await writeFile(join(folder, 'id'), '');
    const id = await folderId(folder);
    expect(await folderId(folder)).toBe(id);
  });
});
