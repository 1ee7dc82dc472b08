-- The states in which jobs have ended.
--
-- {name}:ended:<state>  zset  place -> id

local ENDED = {'succeeded', 'failed', 'cancelled', 'expired'}

-- The state that a job ended in; nil when it has not. `call` may be `try`.
local function ended_as(id, call)
    for _, state in ipairs(ENDED) do
        if (call or redis.call)('ZSCORE', key('ended', state), id) then
            return state
        end
    end
    return nil
end

-- Those of some jobs that have ended, by state, as far as it is known.
local function ended_among(ids)
    local by_state, rest = {}, ids
    for _, state in ipairs(ENDED) do
        local ended, others = {}, {}
        for start = 1, #rest, MOST do
            local last = math.min(start + MOST - 1, #rest)
            local places = try('ZMSCORE', key('ended', state), unpack(rest, start, last)) or {}
            for i = start, last do
                local list = places[i - start + 1] and ended or others
                list[#list + 1] = rest[i]
            end
        end
        by_state[state], rest = ended, others
    end
    return by_state
end
