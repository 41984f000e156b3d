local helper = require "spec.helper"

describe("tools/install-npm", function()
  local folder

  -- An npm that does this, and nothing else but the usual programs.
  local function install(npm, ...)
    if npm then
      helper.write_file(folder .. "/bin/npm", "#!/bin/sh\n" .. npm)
      helper.chmod(folder .. "/bin/npm", 493) -- rwxr-xr-x
    end
    local code, out = helper.run({ helper.root .. "/tools/install-npm",
      folder .. "/from", folder .. "/into", ... },
      { env = { PATH = folder .. "/bin" } })
    return code, out
  end

  before_each(function()
    folder = helper.tmpdir()
    for _, name in ipairs { "bin", "from" } do
      helper.mkdir(folder .. "/" .. name)
    end
    for _, program in ipairs { "sh", "mkdir", "cp", "cat", "cmp", "rm", "grep",
      "head" } do
      local _, path = helper.run("command -v " .. program)
      helper.run { "ln", "-s", path:match "%S+", folder .. "/bin" }
    end
    for _, name in ipairs { "package.json", "package-lock.json", "a.mjs" } do
      helper.write_file(folder .. "/from/" .. name, name)
    end
  end)

  it("installs what is not there, and nothing twice", function()
    local npm = "echo \"$@\" >>ran; cat package-lock.json a.mjs >>ran"
    assert.equal(0, (install(npm, "--omit=optional")))
    assert.equal(0, (install(npm, "--omit=optional")))
    local first = helper.read_file(folder .. "/into/ran")
    assert.matches("^ci .*%-%-omit=optional\npackage%-lock.jsona.mjs$", first)
    helper.write_file(folder .. "/from/package-lock.json", "another")
    assert.equal(0, (install(npm, "--omit=optional")))
    assert.not_equal(first, helper.read_file(folder .. "/into/ran"))
  end)

  it("says in a line why it cannot", function()
    local code, out = install()
    assert.equal(1, code)
    assert.equal("npm is not installed\n", out)
    code, out = install("echo npm error code E404; "
      .. "echo npm error 404 Not Found; exit 1")
    assert.equal(1, code)
    assert.equal("npm cannot install: 404 Not Found\n", out)
    assert.equal(0, (install "exit 0"))
  end)
end)
