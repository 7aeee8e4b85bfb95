// SPDX-License-Identifier: Apache-2.0
// Starts `moec lsp` for .moe files; everything else is the server's.
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function activate() {
  const settings = vscode.workspace.getConfiguration("moe");
  const args = ["lsp"];
  const library = settings.get("standardLibrary");
  if (library) args.push("--std", library);
  const server = { command: settings.get("compiler"), args };
  client = new LanguageClient("moe", "MoE policies", server, { documentSelector: [{ language: "moe" }] });
  return client.start();
}

function deactivate() {
  return client ? client.stop() : undefined;
}

module.exports = { activate, deactivate };
