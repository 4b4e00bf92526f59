export { type DemoServicesOptions, defaultPython, labServices, type ServiceCommand } from "./demo-services.ts";
export type { AnnotationTarget } from "./load/annotations.ts";
export type { ClientView, PhaseResult } from "./load/recorder.ts";
export { runStory, type StoryOptions, type StoryResult } from "./load/run-story.ts";
export { type Phase, STORY_SECONDS, type Stream, story, storyOfEqualPhases, type Target } from "./load/story.ts";
export { buildNodeService, type NodeServiceDatabases } from "./node-service/app.ts";
export { type Postgres, type PostgresOptions, startPostgres } from "./postgres/server.ts";
