--! uses job, ends
-- All that is known of jobs.
--
-- ARGV: payloads and results of more bytes are left out ('': none are), then ids.
-- Returns for each job that there is: id, state, record, marks, what is kept of its end; worker and claim that hold
-- it, since when it runs, its worker's registration, why its end was asked for; each nil where there is none.
-- Reads jobs, marks, stops, running, ended:<state>, scheduled, retrying, parked, workers, held:<worker>, slots,
-- ends:<slot>.

local longest, ids = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
    ids[i - 1] = ARGV[i]
end

-- What is behind the first lines, if it is not too long.
local function shortened(stored, lines)
    local from = longest and string.match(stored, lines)
    return from and #stored - from + 1 > longest and string.sub(stored, 1, from - 1) or stored
end

-- For each job the first of these keys that has it, by its number, and what it has; false: none has.
local function first_of(keys, look)
    local found, left = {}, {}
    for i = 1, #ids do
        found[i], left[i] = false, i
    end
    for number, each in ipairs(keys) do
        if #left > 0 and redis.call('EXISTS', each) == 1 then
            local asked, rest = {}, {}
            for j, i in ipairs(left) do
                asked[j] = ids[i]
            end
            for j, value in ipairs(look(each, asked)) do
                if value then
                    found[left[j]] = {number, value}
                else
                    rest[#rest + 1] = left[j]
                end
            end
            left = rest
        end
    end
    return found
end

local function scores(index, asked)
    local found = {}
    for start = 1, #asked, MOST do
        local last = math.min(start + MOST - 1, #asked)
        local part = try('ZMSCORE', index, unpack(asked, start, last)) or {}
        for i = start, last do
            found[i] = part[i - start + 1] or false
        end
    end
    return found
end

-- What a hash that is mostly empty has.
local function rare(word)
    return redis.call('EXISTS', key(word)) == 1 and read(key(word), ids, try) or {}
end

local records, marks, stops, running = read(key('jobs'), ids), rare('marks'), rare('stops'), rare('running')
local places = {}
for i, id in ipairs(ids) do
    places[id] = records[i] and string.match(records[i], '^%d+')
end
local states, indexes = {'scheduled', 'retrying', 'parked'}, {key('scheduled'), key('retrying'), key('parked')}
for _, state in ipairs(ENDED) do
    states[#states + 1] = state
    indexes[#indexes + 1] = key('ended', state)
end
local workers, hands = redis.call('HKEYS', key('workers')), {}
workers[#workers + 1] = '0'
for i, worker in ipairs(workers) do
    hands[i] = key('held', worker)
end
-- What a slot has of these jobs themselves, not of others that had their ids before.
local function ends_in(slot, asked)
    local found = read(slot, asked)
    for j, id in ipairs(asked) do
        local its = found[j] and string.match(found[j], '^{"place":(%d+)')
        if its and places[id] and its ~= places[id] then
            found[j] = false
        end
    end
    return found
end

local filed, holds, ends = first_of(indexes, scores), first_of(hands, read), first_of(slots(), ends_in)

local function state_of(i)
    if filed[i] then
        return states[filed[i][1]]
    elseif holds[i] then
        return running[i] and 'running' or marks_of(ids[i]).was or 'queued'
    end
    -- If the index was of the wrong type when it ended, its end alone says so.
    return ends[i] and string.match(ends[i][2], '^[^\n]*"state":"(%a+)"') or 'queued'
end

local rows = {}
for i, id in ipairs(ids) do
    if records[i] then
        local state, hold = state_of(i), holds[i]
        local worker = hold and workers[hold[1]] or false
        rows[#rows + 1] = {
            id, state, shortened(records[i], '^[^\n]*\n[^\n]*\n()'), marks[i] or false,
            ends[i] and shortened(ends[i][2], '^[^\n]*\n()'), worker, hold and hold[2], running[i] or false,
            state == 'running' and redis.call('HGET', key('workers'), worker), stops[i] or false,
        }
    end
end
return rows
