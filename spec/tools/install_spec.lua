local helper = require "spec.helper"

local function files(folder)
  local _, out = helper.run("cd " .. folder
    .. " && find . -type f -o -type l | sort")
  return out
end

describe("make install", function()
  local folder = helper.tmpdir()
  local prefix = folder .. "/opt/lunette"

  -- As make calls it, without building anything in the middle of a spec.
  local function install(...)
    local _, out = helper.run { helper.lunette, "--version" }
    local version = out:match "%d+%.%d+%.%d+"
    local argv = { helper.root .. "/tools/install-files", ... }
    for _, word in ipairs { helper.build, folder, "/opt/lunette", version } do
      argv[#argv + 1] = word
    end
    local code, _, err = helper.run(argv)
    assert.equal(0, code, err)
  end

  it("installs a command that runs", function()
    install()
    local code, out = helper.run { prefix .. "/bin/lunette", "--version" }
    assert.equal(0, code)
    assert.matches("1%.", out)
  end)

  it("tells pkg-config how to build against the library", function()
    local code, out = helper.run("pkg-config --cflags --libs lunette", {
      env = { PKG_CONFIG_PATH = prefix .. "/lib/pkgconfig" },
    })
    assert.equal(0, code)
    for word in ("-I/opt/lunette/include -L/opt/lunette/lib -llunette")
      :gmatch "%S+" do
      assert.truthy(out:find(word, 1, true), out)
    end
  end)

  it("installs what lunette test runs scripts with", function()
    if os.getenv "LUNETTE_SANITIZE" then
      pending "the interpreter that lunette test starts is not sanitized"
      return
    end
    local scripts = helper.tmpdir()
    assert.equal(0, (helper.run({ prefix .. "/bin/lunette", "new", "visits" },
      { cwd = scripts })))
    local code, out, err = helper.run({ prefix .. "/bin/lunette", "test" },
      { cwd = scripts })
    assert.equal(0, code, out .. err)
  end)

  it("installs a manual page for every command", function()
    local missing = helper.missing "man"
    if missing then
      pending(missing)
      return
    end
    local code, out, err = helper.run("for page in " .. prefix
      .. "/share/man/man1/*; do man --warnings -l $page || exit 1; done"
      .. " 2>&1 >/dev/null", { env = { MANPAGER = "cat", LC_ALL = "C.UTF-8" } })
    assert.same({ 0, "", "" }, { code, out, err })
    local pages = files(prefix .. "/share/man/man1")
    for command in ("run query status"):gmatch "%S+" do
      assert.matches("lunette%-" .. command .. "%.1", pages)
    end
  end)

  it("installs what three shells complete the command with", function()
    for _, path in ipairs { "bash-completion/completions/lunette",
      "zsh/site-functions/_lunette", "fish/vendor_completions.d/lunette.fish",
    } do
      assert.matches("lunette", helper.read_file(prefix .. "/share/" .. path))
    end
  end)

  it("removes again what it installed", function()
    install "--remove"
    assert.equal("", files(folder))
  end)
end)
