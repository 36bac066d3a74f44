import { fetchUrl, HttpError, sendJson, type Router } from '../../common/http';
import type { ManifestRow, TagRow } from '../../common/rows';
import type { Access } from '../access';
import { address, type Context } from '../context';
import { Catalog } from '../registry/catalog';
import { Guard } from '../registry/guard';
import { requireRepository } from './repositories';
import { sendPaged } from './paging';

const ROOT = '/api/v0/repositories/:namespace/:name';

export function tagRoutes(router: Router, context: Context, access: Access): void {
  const catalog = new Catalog(context.store);
  const guard = new Guard(context);
  const tagView = async (tag: TagRow): Promise<object> => {
    const manifest = await context.store.get<ManifestRow>('manifests', tag.digestPK);
    return { name: tag.name, digest: tag.digest, author: tag.authorNamespace, createdAt: tag.createdAt, updatedAt: tag.updatedAt, hashMismatch: false, inNotary: false, manifest: manifest ?? null };
  };
  router.on('GET', `${ROOT}/tags`, async ({ request, response, url, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'read-only');
    const tags = await catalog.tags(`${row.namespace}/${row.name}`);
    const views = await Promise.all(tags.map(tagView));
    sendPaged(response, url, views as { name: string }[], (tag) => tag.name, (page) => page);
  });
  router.on('GET', `${ROOT}/tags/:tag`, async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'read-only');
    const tag = await catalog.tag(`${row.namespace}/${row.name}`, params.tag!);
    if (!tag) throw noSuchTag(params.tag!);
    sendJson(response, 200, [await tagView(tag)]);
  });
  router.on('DELETE', `${ROOT}/tags/:tag`, async ({ request, response, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'read-write');
    await guard.requireWritable();
    const full = `${row.namespace}/${row.name}`;
    if (!(await catalog.tag(full, params.tag!))) throw noSuchTag(params.tag!);
    // Where tags are link files, the registry takes the link away, too.
    if (!context.blobsById) await fetchUrl(`${address('registry', context.replicaId)}/internal/tags/${full}/${params.tag}`, { method: 'DELETE' });
    await catalog.deleteTag(full, params.tag!);
    response.writeHead(204);
    response.end();
  });
  router.on('GET', `${ROOT}/manifests`, async ({ request, response, url, params }) => {
    const { row } = await requireRepository(context, access, request, params, 'read-only');
    const rows = await context.store.all<ManifestRow>('manifests', `${row.namespace}/${row.name}@`);
    sendPaged(response, url, rows, (manifest) => manifest.digest, (page) => page);
  });
}

function noSuchTag(name: string): HttpError {
  return new HttpError(404, 'NO_SUCH_TAG', `A tag with the name ${name} does not exist`);
}
