local helper = require "spec.helper"
local lunette = require "lunette"
local replay = require("lunette.testing").replay

local path = helper.root .. "/projections/file_churn.lua"

local function changed(file, author, added, deleted)
  return {
    type = "FileChanged",
    stream = "file:" .. file,
    data = {
      path = file,
      author = author,
      sha = "0",
      added = added,
      deleted = deleted,
    },
  }
end

describe("file_churn", function()
  it("adds up the changes of a file", function()
    local models = replay(path, {
      changed("a.c", "ada", 10, 0),
      changed("a.c", "bob", 2, 7),
      changed("b.c", "bob", 1, 1),
      changed("a.c", "ada", 0, 1),
    })
    assert.same({
      changes = 3,
      binary_changes = 0,
      added = 12,
      deleted = 8,
      churn = 20,
      authors = { ada = 2, bob = 1 },
      author_count = 2,
      last_author = "ada",
      last_change = "2026-01-01T00:00:04.000000Z",
    }, models["a.c"])
    assert.equal(2, models["b.c"].churn)
  end)

  it("counts a binary change, which has no lines", function()
    local models = replay(path, {
      changed("logo.png", "ada", lunette.null, lunette.null),
    })
    assert.equal(1, models["logo.png"].changes)
    assert.equal(1, models["logo.png"].binary_changes)
    assert.equal(0, models["logo.png"].churn)
  end)
end)
