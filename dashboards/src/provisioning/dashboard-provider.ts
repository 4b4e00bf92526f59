/** Where the container finds `dashboards/grafana`. */
const PATH_IN_CONTAINER = "/var/lib/grafana/dashboards/tidemark";

/** Tells Grafana to load the committed dashboards; files win over edits made in the browser. */
export function dashboardProviderFile(): object {
  return {
    apiVersion: 1,
    providers: [
      {
        name: "tidemark",
        orgId: 1,
        folder: "Tidemark",
        type: "file",
        disableDeletion: true,
        allowUiUpdates: false,
        updateIntervalSeconds: 30,
        options: { path: PATH_IN_CONTAINER, foldersFromFilesStructure: false },
      },
    ],
  };
}
