import { Router, serve } from '../../common/http';
import { Access } from '../access';
import { PORTS, type Context } from '../context';
import { accountRoutes } from './accounts';
import { Health, healthRoutes } from './health';
import { imagescanRoutes } from './imagescan';
import { jobRoutes } from './jobs';
import { labRoutes } from './lab';
import { metaRoutes } from './meta';
import { repositoryRoutes } from './repositories';
import { tagRoutes } from './tags';
import { teamAccessRoutes } from './team-access';

/** DTR's API: /_ping, /health, /ca and /api/v0. */
export function startApi(context: Context): void {
  const access = new Access(context);
  const health = new Health(context);
  health.report();
  const router = new Router();
  healthRoutes(router, context, access, health);
  metaRoutes(router, context, access);
  jobRoutes(router, context, access);
  imagescanRoutes(router, context, access);
  accountRoutes(router, context, access);
  repositoryRoutes(router, context, access);
  tagRoutes(router, context, access);
  teamAccessRoutes(router, context, access);
  labRoutes(router, context, access);
  serve(PORTS.api, router);
}
