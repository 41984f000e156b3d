local helper = require "spec.helper"
local replay = require("lunette.testing").replay

local path = helper.root .. "/projections/author_activity.lua"

local function commit(author, at, added, deleted)
  return {
    type = "CommitMade",
    stream = "repo",
    recorded_at = at,
    data = {
      author = author,
      sha = "0",
      subject = "☾",
      files = 1,
      added = added,
      deleted = deleted,
    },
  }
end

describe("author_activity", function()
  it("adds up the commits of an author in a month", function()
    local models = replay(path, {
      commit("ada", "2024-02-03T10:00:00Z", 10, 1),
      commit("ada", "2024-02-29T23:59:59.999999Z", 5, 2),
      commit("bob", "2024-02-29T12:00:00Z", 1, 0),
    })
    assert.same({
      author = "ada",
      month = "2024-02",
      commits = 2,
      files = 2,
      added = 15,
      deleted = 3,
      first_commit = "2024-02-03T10:00:00.000000Z",
      last_commit = "2024-02-29T23:59:59.999999Z",
    }, models["ada:2024-02"])
    assert.equal(1, models["bob:2024-02"].commits)
  end)

  it("counts months in UTC", function()
    local models = replay(path, {
      commit("ada", "2024-03-01T00:30:00+02:00", 1, 0),
    })
    assert.equal(1, models["ada:2024-02"].commits)
  end)

  it("keeps the first and last moment when commits come out of order",
    function()
      local models = replay(path, {
        commit("ada", "2024-02-10T00:00:00Z", 1, 0),
        commit("ada", "2024-02-20T00:00:00Z", 1, 0),
        commit("ada", "2024-02-05T00:00:00Z", 1, 0),
      })
      local model = models["ada:2024-02"]
      assert.equal("2024-02-05T00:00:00.000000Z", model.first_commit)
      assert.equal("2024-02-20T00:00:00.000000Z", model.last_commit)
    end)
end)
